package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/migrations"
)

func (a *app) migrateCommand() *cobra.Command {
	var asJSON bool
	status := &cobra.Command{
		Use: "status", Short: "Which migrations are applied", Example: "  kfactor migrate status",
		Args: noMore,
		RunE: a.do(a.withDatabase(func(ctx context.Context, db *gorm.DB) error {
			list, err := database.MigrationStatus(ctx, db, migrations.FS)
			if err != nil {
				return err
			}
			return a.printMigrations(list, asJSON)
		})),
	}
	status.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return a.group("migrate", "The database's schema",
		"Serve brings the embedded database up to date by itself; on MySQL this command does, or serve --migrate.",
		&cobra.Command{
			Use: "up", Short: "Bring the schema up to date", Example: "  kfactor migrate up",
			Args: noMore,
			RunE: a.do(a.withDatabase(func(ctx context.Context, db *gorm.DB) error {
				pending, err := database.Pending(ctx, db, migrations.FS)
				if err != nil {
					return err
				}
				if err := database.Migrate(ctx, db, migrations.FS); err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "the schema is up to date, %s applied now\n", counted(pending, "migration"))
				return err
			})),
		},
		a.migrateDownCommand(),
		status)
}

func (a *app) migrateDownCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "down", Short: "Take the newest migration back, with the data in it",
		Long: "Takes the newest applied migration back. What its tables and columns held is gone: make a backup first.\n" +
			"Where there are campaigns or keys it only says what would be lost, unless --yes is given.",
		Example: "  kfactor migrate down\n  kfactor migrate down --yes",
		Args:    noMore,
		RunE: a.do(a.withDatabase(func(ctx context.Context, db *gorm.DB) error {
			list, err := database.MigrationStatus(ctx, db, migrations.FS)
			if err != nil {
				return err
			}
			newest := ""
			for _, m := range list {
				if !m.AppliedAt.IsZero() {
					newest = m.Name
				}
			}
			held, err := holdings(ctx, db)
			if err != nil {
				return err
			}
			if held != "" && !yes {
				return fmt.Errorf("nothing is taken back: the database holds %s, and what lies in the tables and columns of %s would be lost for good; make a backup, then add --yes", held, newest)
			}
			if err := database.MigrateDown(ctx, db, migrations.FS); err != nil {
				return err
			}
			said := newest + " is taken back"
			if held != "" {
				said += "; before, the database held " + held
			}
			_, err = fmt.Fprintln(a.stdout, said)
			return err
		})),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "even where there is data, which is lost")
	return cmd
}

// holdings says what a database holds that nobody could make again; nothing where there is neither campaign nor key.
func holdings(ctx context.Context, db *gorm.DB) (string, error) {
	var parts []string
	worth := false
	for _, of := range []struct {
		table, thing string
		alone        bool // worth asking about
	}{{"campaigns", "campaign", true}, {"events", "event", false}, {"grants", "grant", false}, {"api_keys", "API key", true}} {
		if !db.WithContext(ctx).Migrator().HasTable(of.table) {
			continue
		}
		var n int64
		if err := db.WithContext(ctx).Table(of.table).Count(&n).Error; err != nil {
			return "", err
		}
		if n > 0 {
			parts = append(parts, counted(int(n), of.thing))
			worth = worth || of.alone
		}
	}
	if !worth {
		return "", nil
	}
	return strings.Join(parts, ", "), nil
}

// withDatabase is the work of a command that needs the database as it is, whatever state its schema is in.
func (a *app) withDatabase(work func(ctx context.Context, db *gorm.DB) error) func(context.Context, []string) error {
	return func(ctx context.Context, _ []string) (err error) {
		db, err := database.Open(ctx, a.settings.DatabaseURL)
		if err != nil {
			return fmt.Errorf("KFACTOR_DATABASE_URL: %w", err)
		}
		defer func() { err = errors.Join(err, database.Close(db)) }()
		return work(ctx, db)
	}
}

func (a *app) printMigrations(list []database.Migration, asJSON bool) error {
	type line struct {
		Version   int64      `json:"version"`
		Name      string     `json:"name"`
		AppliedAt *time.Time `json:"applied_at"` // null while pending
	}
	lines := make([]line, len(list))
	rows := make([][]string, len(list))
	for i, m := range list {
		lines[i] = line{Version: m.Version, Name: m.Name}
		applied := "pending"
		if !m.AppliedAt.IsZero() {
			lines[i].AppliedAt = &m.AppliedAt
			applied = at(m.AppliedAt, time.UTC)
		}
		rows[i] = []string{fmt.Sprint(m.Version), m.Name, applied}
	}
	if asJSON {
		return printJSON(a.stdout, lines)
	}
	return printTable(a.stdout, []string{"VERSION", "NAME", "APPLIED"}, rows)
}
