package database_test

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/services"
)

// thing is a row of the tests' own table.
type thing struct {
	ID    int64 `gorm:"primaryKey;autoIncrement"`
	Shelf int64
	Name  string
	Count int64
	Raw   []byte
}

const things = `CREATE TABLE things (
	id %s, shelf BIGINT NOT NULL, name VARCHAR(40) NOT NULL, count BIGINT NOT NULL, raw BLOB NULL,
	UNIQUE (shelf, name), CHECK (count >= 0))`

// each runs fn on an empty table of things on both stores.
func each(t *testing.T, fn func(t *testing.T, db *gorm.DB)) {
	t.Helper()
	on := func(address func(t *testing.T) string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			db := open(t, address(t))
			id := "BIGINT AUTO_INCREMENT PRIMARY KEY"
			if database.Dialect(db) == database.SQLite {
				id = "INTEGER PRIMARY KEY AUTOINCREMENT"
			}
			must(t, db.Exec(strings.Replace(things, "%s", id, 1)).Error)
			fn(t, db)
		}
	}
	t.Run("SQLite", on(func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "a.db") }))
	t.Run("MySQL", on(func(t *testing.T) string { return services.MySQL(t) }))
}

func open(t *testing.T, address string) *gorm.DB {
	t.Helper()
	db, err := database.Open(t.Context(), address)
	must(t, err)
	t.Cleanup(func() { must(t, database.Close(db)) })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()

	t.Run("AWrongAddressIsNamedAndItsPasswordKept", func(t *testing.T) {
		t.Parallel()
		for address, says := range map[string]string{
			"":                                      "no scheme",
			"data/kfactor.db":                       "no scheme",
			"postgres://u:hunter2@h/n":              "postgres",
			"sqlite://":                             "names no file",
			"sqlite://:memory:":                     "in memory",
			"sqlite://a.db?cache=shared":            "no parameters",
			"mysql://u:hunter2@/n":                  "no host",
			"mysql://:hunter2@h/n":                  "no user",
			"mysql://u:hunter2@h":                   "one database",
			"mysql://u:hunter2@h/a/b":               "one database",
			"mysql://u:hunter2%zz@h/n":              "special characters",
			"mysql://u:hunter2@h:port/n":            "no URL",
			"mysql://u:hunter2@h/n?parseTime=1":     `"parseTime"`,
			"mysql://u:hunter2@h/n?tls=perhaps":     "tls is one of",
			"mysql://u:hunter2@h/n?tls=true&tls=no": "tls is one of",
			"sqlite:///dev/null/below/a/file/kf.db": "cannot be made",
		} {
			db, err := database.Open(t.Context(), address)
			if err == nil {
				t.Errorf("%s: opened %v", address, db)
				continue
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v, want it to be invalid and to say %q", address, err, says)
			}
		}
	})

	t.Run("WhereNothingAnswersItSaysSoSoon", func(t *testing.T) {
		t.Parallel()
		_, err := database.Open(t.Context(), "mysql://u:hunter2@127.0.0.1:1/n")
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("got %v", err)
		}
	})

	t.Run("TheFolderAndAFileWithAnOddNameAreMade", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "not there", "50% 微信&=.db")
		db := open(t, "sqlite://"+path)
		must(t, db.Exec("CREATE TABLE t (a)").Error)
		if found, err := filepath.Glob(path); err != nil || len(found) != 1 {
			t.Fatalf("the database is elsewhere: %v %v", found, err)
		}
	})

	t.Run("ACommitOnSQLiteIsOnDiskAndKeysHold", func(t *testing.T) {
		t.Parallel()
		db := open(t, "sqlite://"+filepath.Join(t.TempDir(), "a.db"))
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			must(t, database.Transact(t.Context(), db, func(tx *gorm.DB) error {
				return tx.Raw("SELECT * FROM pragma_" + pragma).Row().Scan(&got)
			}))
			if got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
		}
	})

	t.Run("AnyPasswordWorksWhenWrittenAsInAURL", func(t *testing.T) {
		t.Parallel()
		address := services.MySQL(t)
		admin := open(t, address)
		u, err := url.Parse(address)
		must(t, err)
		const password = `a@b:c/d?e#f%g&h'i"j\k 密`
		u.User = url.UserPassword("odd"+strings.TrimPrefix(u.Path, "/kfactor_test_"), password)
		user := "`" + u.User.Username() + "`@`%`"
		must(t, admin.Exec("CREATE USER "+user+" IDENTIFIED BY ?", password).Error)
		t.Cleanup(func() { must(t, admin.WithContext(context.Background()).Exec("DROP USER "+user).Error) })
		must(t, admin.Exec("GRANT ALL ON `"+strings.Trim(u.Path, "/")+"`.* TO "+user).Error)
		db := open(t, u.String())
		var one int
		must(t, db.Raw("SELECT 1").Scan(&one).Error)
	})

	t.Run("MySQLIsStrictInUTCAndSeesWhatIsCommitted", func(t *testing.T) {
		t.Parallel()
		db := open(t, services.MySQL(t))
		var mode, zone, collation string
		must(t, db.Raw("SELECT @@sql_mode, @@time_zone, @@collation_connection").Row().Scan(&mode, &zone, &collation))
		if !strings.Contains(mode, "STRICT_TRANS_TABLES") || zone != "+00:00" || collation != "utf8mb4_bin" {
			t.Errorf("mode %s, zone %s, collation %s", mode, zone, collation)
		}
		must(t, db.Exec("CREATE TABLE seen (n INT)").Error)
		must(t, database.Transact(t.Context(), db, func(tx *gorm.DB) error {
			var before, after int64
			must(t, tx.Table("seen").Count(&before).Error)
			must(t, db.Exec("INSERT INTO seen VALUES (1)").Error)
			must(t, tx.Table("seen").Count(&after).Error)
			if before != 0 || after != 1 {
				t.Errorf("saw %d, then %d", before, after)
			}
			return nil
		}))
	})
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *gorm.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		must(t, database.Transact(ctx, db, func(tx *gorm.DB) error {
			must(t, tx.Create(&thing{Shelf: 1, Name: "in the making"}).Error)
			var seen, own int64
			must(t, db.WithContext(ctx).Model(&thing{}).Count(&seen).Error)
			must(t, tx.Model(&thing{}).Count(&own).Error)
			if seen != 0 || own != 1 {
				t.Errorf("outside %d rows, inside %d; want 0 and 1", seen, own)
			}
			return nil
		}))
		var seen int64
		must(t, db.WithContext(ctx).Model(&thing{}).Count(&seen).Error)
		if seen != 1 {
			t.Errorf("%d rows after the commit, want 1", seen)
		}
	})
}
