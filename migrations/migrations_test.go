package migrations_test

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"testing"
	"testing/fstest"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/services"
	"kfactor/migrations"
)

// upTo are the migrations up to a number.
func upTo(t *testing.T, last string) fs.FS {
	t.Helper()
	early := fstest.MapFS{}
	names, err := fs.Glob(migrations.FS, "*/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if path.Base(name) > last+"_~" {
			continue
		}
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		early[name] = &fstest.MapFile{Data: text}
	}
	return early
}

func onBoth(t *testing.T, fn func(t *testing.T, db *gorm.DB)) {
	t.Helper()
	run := func(t *testing.T, address string) {
		t.Helper()
		t.Parallel()
		db, err := database.Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = database.Close(db) })
		fn(t, db)
	}
	t.Run("SQLite", func(t *testing.T) { run(t, "sqlite://"+filepath.Join(t.TempDir(), "a.db")) })
	t.Run("MySQL", func(t *testing.T) { run(t, services.MySQL(t)) })
}

func TestFunnelIsCarriedOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *gorm.DB) {
		must := func(errs ...error) {
			t.Helper()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
		must(database.Migrate(t.Context(), db, upTo(t, "00005")))
		for _, row := range [][]any{
			{1, "scan", 20260301, "a", 1, "moments", 5, 3},
			{1, "scan", 20260301, "a", 2, "", 7, 2},
			{1, "scan", 20260302, "b", 10, "moments", 11, 4},
			{2, "scan", 20260301, "", 0, "", 1, 1},
		} {
			must(db.Exec("INSERT INTO funnel_counters (campaign, stage, day, variant, depth, source, events, users) VALUES ?", row).Error)
		}
		must(database.Migrate(t.Context(), db, migrations.FS))
		// As if that had been cut short just before it was noted.
		must(db.Exec("DELETE FROM goose_db_version WHERE version_id = 6").Error)
		must(database.Migrate(t.Context(), db, migrations.FS))

		type counter struct {
			Split         string
			Day           int
			Name          string
			Events, Users int64
		}
		var got []counter
		must(db.Raw("SELECT split, day, name, events, users FROM funnel_counts WHERE campaign = 1 AND stage = 'scan' ORDER BY split, day, name").Scan(&got).Error)
		want := []counter{
			{"day", 20260301, "", 12, 5},
			{"day", 20260302, "", 11, 4},
			{"depth", 20260301, "1", 5, 3},
			{"depth", 20260301, "2", 7, 2},
			{"depth", 20260302, "10", 11, 4},
			{"source", 20260301, "", 7, 2},
			{"source", 20260301, "moments", 5, 3},
			{"source", 20260302, "moments", 11, 4},
			{"variant", 20260301, "a", 12, 5},
			{"variant", 20260302, "b", 11, 4},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}

		must(database.MigrateDown(t.Context(), db, migrations.FS))
		var events int64
		must(db.Raw("SELECT SUM(events) FROM funnel_counters WHERE campaign = 1").Scan(&events).Error)
		if events != 23 {
			t.Errorf("%d events are left after going back", events)
		}
	})
}
