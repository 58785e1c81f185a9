package database

import (
	"bytes"
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

const (
	mostPlaceholders = 30_000 // in one statement; SQLite takes 32,766, MySQL 65,535
	mostRows         = 1_000  // in one statement; at 4 KiB a row well under a 16 MiB packet
)

// Upsert writes rows, structs with gorm tags, in as few statements as the
// limits allow: a row whose keyCols are new is inserted, and of one that is
// there updateCols are overwritten. keyCols must be a unique key. Rows are
// written in the order of their keys, so that two transactions that write the
// same rows queue up and do not deadlock; of two rows with one key the later
// wins. Zero values are written as they are (an auto-increment key of 0 gets
// its number from the database, but is not read back), and no hook runs.
func Upsert[T any](tx *gorm.DB, rows []T, keyCols, updateCols []string) error {
	if len(keyCols) == 0 || len(updateCols) == 0 {
		return errors.New("database: Upsert needs key columns and columns to update")
	}
	_, err := insert(tx, rows, keyCols, func(dialect string) string {
		return onConflictUpdate(dialect, keyCols, updateCols)
	})
	return err
}

// InsertNew writes rows like Upsert does, leaves those alone whose unique key
// is there already, and returns how many it wrote. conflictCols name that key:
// on SQLite a row that breaks another one is an error, and with none named any
// key counts; MySQL cannot tell them apart and skips the row for any of them.
func InsertNew[T any](tx *gorm.DB, rows []T, conflictCols ...string) (int64, error) {
	return insert(tx, rows, conflictCols, func(dialect string) string {
		return onConflictIgnore(dialect, conflictCols)
	})
}

// insert writes rows in chunks, each statement ending in what onConflict says.
func insert[T any](tx *gorm.DB, rows []T, keyCols []string, onConflict func(dialect string) string) (int64, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	t, err := tableOf[T](tx)
	if err != nil {
		return 0, err
	}
	values, err := t.values(tx, rows, keyCols)
	if err != nil {
		return 0, err
	}
	conflict := onConflict(Dialect(tx))
	if conflict == "" { // MySQL needs some column to leave as it is
		conflict = onConflictIgnore(MySQL, t.names[:1])
	}

	var written int64
	var text string
	var textRows int
	chunk := min(mostRows, max(1, mostPlaceholders/len(t.fields)))
	args := make([]any, 0, min(chunk, len(values))*len(t.fields))
	for part := range slices.Chunk(values, chunk) {
		if len(part) != textRows {
			text, textRows = t.statement(len(part))+conflict, len(part)
		}
		args = args[:0]
		for _, row := range part {
			args = append(args, row...)
		}
		done := tx.Exec(text, args...)
		if done.Error != nil {
			return written, fmt.Errorf("write %d rows of %s: %w", len(part), t.name, done.Error)
		}
		written += done.RowsAffected
	}
	return written, nil
}

func onConflictUpdate(dialect string, keyCols, updateCols []string) string {
	sets := make([]string, len(updateCols))
	for i, c := range updateCols {
		if dialect == MySQL {
			sets[i] = quote(c) + "=VALUES(" + quote(c) + ")" // the spelling that MySQL, MariaDB and TiDB share
		} else {
			sets[i] = quote(c) + "=excluded." + quote(c)
		}
	}
	if dialect == MySQL {
		return " ON DUPLICATE KEY UPDATE " + strings.Join(sets, ",")
	}
	return " ON CONFLICT (" + quoteAll(keyCols) + ") DO UPDATE SET " + strings.Join(sets, ",")
}

// onConflictIgnore does not use MySQL's INSERT IGNORE, which would also swallow
// values that are too long and references to nothing.
func onConflictIgnore(dialect string, cols []string) string {
	switch {
	case dialect == MySQL && len(cols) == 0:
		return ""
	case dialect == MySQL:
		return " ON DUPLICATE KEY UPDATE " + quote(cols[0]) + "=" + quote(cols[0])
	case len(cols) == 0:
		return " ON CONFLICT DO NOTHING"
	default:
		return " ON CONFLICT (" + quoteAll(cols) + ") DO NOTHING"
	}
}

// table is how a struct lies in its table.
type table struct {
	name   string
	names  []string // of the columns
	fields []*schema.Field
}

func tableOf[T any](tx *gorm.DB) (*table, error) {
	stmt := &gorm.Statement{DB: tx}
	if err := stmt.Parse(new(T)); err != nil {
		return nil, fmt.Errorf("database: %T is no row: %w", *new(T), err)
	}
	t := &table{name: stmt.Table}
	for _, name := range stmt.Schema.DBNames {
		if f := stmt.Schema.FieldsByDBName[name]; f.Creatable {
			t.names, t.fields = append(t.names, name), append(t.fields, f)
		}
	}
	return t, nil
}

func (t *table) statement(rows int) string {
	// The blank keeps gorm from taking a first column of bytes for a list: it spreads a slice right after "(".
	row := "( " + strings.Repeat("?,", len(t.fields)-1) + "?)"
	var b strings.Builder
	b.WriteString("INSERT INTO " + quote(t.name) + " (" + quoteAll(t.names) + ") VALUES ")
	b.WriteString(row)
	b.WriteString(strings.Repeat(","+row, rows-1))
	return b.String()
}

// values takes the columns' values out of rows, in the drivers' own types, and
// puts the rows in the order of their keys.
func (t *table) values(tx *gorm.DB, rows any, keyCols []string) ([][]any, error) {
	ctx := tx.Statement.Context
	list := reflect.ValueOf(rows)
	all := make([][]any, list.Len())
	flat := make([]any, list.Len()*len(t.fields))
	for r := range all {
		row := flat[r*len(t.fields) : (r+1)*len(t.fields)]
		for i, f := range t.fields {
			v, zero := f.ValueOf(ctx, list.Index(r))
			if zero && f.AutoIncrement {
				continue
			}
			plain, err := driver.DefaultParameterConverter.ConvertValue(v)
			if err != nil {
				return nil, fmt.Errorf("row %d of %s: %s: %w", r, t.name, f.DBName, err)
			}
			row[i] = plain
		}
		all[r] = row
	}

	var keys []int
	for _, c := range keyCols {
		i := slices.Index(t.names, c)
		if i < 0 {
			return nil, fmt.Errorf("database: %s has no column %s", t.name, c)
		}
		keys = append(keys, i)
	}
	slices.SortStableFunc(all, func(a, b []any) int {
		for _, k := range keys {
			if c := compare(a[k], b[k]); c != 0 {
				return c
			}
		}
		return 0
	})
	return all, nil
}

// compare orders two values of one column; kinds that are no keys count as equal.
func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b)
		}
	case []byte:
		if b, ok := b.([]byte); ok {
			return bytes.Compare(a, b)
		}
	}
	return 0
}

// quote writes a name of the schema; backticks are read by MySQL and SQLite alike.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ",")
}
