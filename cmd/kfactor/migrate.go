package main

import (
	"context"
	"errors"
	"fmt"
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
		Args: cobra.NoArgs,
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
			Args: cobra.NoArgs,
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
		&cobra.Command{
			Use: "down", Short: "Take the newest migration back, with the data in it",
			Long:    "Takes the newest applied migration back. What its tables and columns held is gone: make a backup first.",
			Example: "  kfactor migrate down",
			Args:    cobra.NoArgs,
			RunE: a.do(a.withDatabase(func(ctx context.Context, db *gorm.DB) error {
				if err := database.MigrateDown(ctx, db, migrations.FS); err != nil {
					return err
				}
				_, err := fmt.Fprintln(a.stdout, "the newest migration is taken back")
				return err
			})),
		},
		status)
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
			applied = m.AppliedAt.Format(time.DateTime)
		}
		rows[i] = []string{fmt.Sprint(m.Version), m.Name, applied}
	}
	if asJSON {
		return printJSON(a.stdout, lines)
	}
	return printTable(a.stdout, []string{"VERSION", "NAME", "APPLIED"}, rows)
}
