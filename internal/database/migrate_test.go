package database_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/services"
)

// migrateAddress has TestMain migrate the database it names and end: the other
// program of the test with two.
const migrateAddress = "KFACTOR_TEST_MIGRATE"

func TestMain(m *testing.M) {
	address := os.Getenv(migrateAddress)
	if address == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	db, err := database.Open(ctx, address)
	if err == nil {
		err = errors.Join(database.Migrate(ctx, db, steps()), database.Close(db))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// steps are migrations that fail when any runs twice.
func steps() fs.FS {
	fsys := fstest.MapFS{}
	for _, dialect := range []string{database.SQLite, database.MySQL} {
		for i, table := range []string{"one", "two", "three", "four"} {
			fsys[fmt.Sprintf("%s/%05d_%s.sql", dialect, i+1, table)] = &fstest.MapFile{Data: fmt.Appendf(nil,
				"-- +goose Up\nCREATE TABLE %s (n INT);\nINSERT INTO %s VALUES (1);\n-- +goose Down\nDROP TABLE %s;\n", table, table, table)}
		}
	}
	return fsys
}

func TestMigrate(t *testing.T) {
	t.Parallel()

	onBoth := func(t *testing.T, fn func(t *testing.T, address string)) {
		t.Helper()
		t.Run("SQLite", func(t *testing.T) {
			t.Parallel()
			fn(t, "sqlite://"+filepath.Join(t.TempDir(), "a.db"))
		})
		t.Run("MySQL", func(t *testing.T) {
			t.Parallel()
			fn(t, services.MySQL(t))
		})
	}

	t.Run("UpDownAndStatusTellTheSameStory", func(t *testing.T) {
		t.Parallel()
		onBoth(t, func(t *testing.T, address string) {
			db := open(t, address)
			pending := func(want int) {
				t.Helper()
				got, err := database.Pending(t.Context(), db, steps())
				if err != nil || got != want {
					t.Fatalf("%d pending, %v; want %d", got, err, want)
				}
			}
			pending(4)
			must(t, database.Migrate(t.Context(), db, steps()))
			pending(0)
			must(t, database.Migrate(t.Context(), db, steps()))
			must(t, database.MigrateDown(t.Context(), db, steps()))
			pending(1)
			list, err := database.MigrationStatus(t.Context(), db, steps())
			must(t, err)
			for i, m := range list {
				if m.Version != int64(i+1) || m.AppliedAt.IsZero() != (i == 3) || m.Name == "" {
					t.Errorf("%d: %+v", i, m)
				}
			}
			for range 3 {
				must(t, database.MigrateDown(t.Context(), db, steps()))
			}
			if err := database.MigrateDown(t.Context(), db, steps()); fault.KindOf(err) != fault.Conflict {
				t.Errorf("with none left to take back: %v", err)
			}
			must(t, database.Migrate(t.Context(), db, steps()))
		})
	})

	t.Run("SeveralProgramsAtOnceDoItOnce", func(t *testing.T) {
		t.Parallel()
		self, err := os.Executable()
		must(t, err)
		onBoth(t, func(t *testing.T, address string) {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					other := exec.Command(self)
					other.Env = append(os.Environ(), migrateAddress+"="+address)
					if said, err := other.CombinedOutput(); err != nil {
						t.Errorf("%v: %s", err, said)
					}
				})
			}
			all.Wait()
			db := open(t, address)
			for _, table := range []string{"one", "two", "three", "four"} {
				var n int64
				must(t, db.Table(table).Count(&n).Error)
				if n != 1 {
					t.Errorf("%s was filled %d times", table, n)
				}
			}
		})
	})

	t.Run("AMigrationThatFailsIsNamed", func(t *testing.T) {
		t.Parallel()
		onBoth(t, func(t *testing.T, address string) {
			db := open(t, address)
			broken := fstest.MapFS{}
			for _, dialect := range []string{database.SQLite, database.MySQL} {
				broken[dialect+"/00001_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE CHAOS;\n-- +goose Down\nSELECT 1;\n")}
			}
			if err := database.Migrate(t.Context(), db, broken); err == nil {
				t.Fatal("no error")
			}
			must(t, database.Migrate(t.Context(), open(t, address), steps())) // the lock is free again
		})
	})
}
