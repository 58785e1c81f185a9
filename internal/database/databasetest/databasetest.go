// Package databasetest gives a test migrated databases of its own, so that one
// list of promises is kept on SQLite and MySQL alike.
package databasetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/services"
	"kfactor/migrations"
)

// Each runs fn as the subtest "SQLite" and as the subtest "MySQL", each on an
// empty database with the whole schema. The second is skipped where there is no
// server to be had (see services.MySQL).
func Each(t *testing.T, fn func(t *testing.T, db *gorm.DB)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("MySQL", func(t *testing.T) { fn(t, MySQL(t)) })
}

// SQLite is an empty database with the whole schema, in a file that goes with the test.
func SQLite(t testing.TB) *gorm.DB {
	t.Helper()
	empty, err := emptySQLite()
	if err != nil {
		t.Fatalf("make the schema: %v", err)
	}
	file := filepath.Join(t.TempDir(), "kfactor.db")
	if err := os.WriteFile(file, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return Migrated(t, "sqlite://"+file)
}

// emptySQLite is the file of an empty database with the whole schema. Making one takes half a second under the race
// detector, which hundreds of tests need not wait for again.
var emptySQLite = sync.OnceValues(func() (file []byte, err error) {
	folder, err := os.MkdirTemp("", "kfactor-schema-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "kfactor.db")
	ctx := context.Background()
	db, err := database.Open(ctx, "sqlite://"+name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(database.Migrate(ctx, db, migrations.FS), database.Close(db)); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
})

// MySQL is an empty database with the whole schema on a real server, dropped
// after the test, which is skipped where there is no server to be had.
func MySQL(t testing.TB) *gorm.DB {
	t.Helper()
	return Migrated(t, services.MySQL(t))
}

// Migrated opens the database at address, brings its schema up to date, and
// closes it after the test.
func Migrated(t testing.TB, address string) *gorm.DB {
	t.Helper()
	ctx := context.Background()
	db, err := database.Open(ctx, address)
	if err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(func() {
		if err := database.Close(db); err != nil {
			t.Errorf("close the test's database: %v", err)
		}
	})
	if err := database.Migrate(ctx, db, migrations.FS); err != nil {
		t.Fatalf("migrate the test's database: %v", err)
	}
	return db
}
