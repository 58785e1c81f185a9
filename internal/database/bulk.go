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
	bulk, err := Upserting(tx, rows, keyCols, updateCols)
	if err != nil {
		return err
	}
	_, err = bulk.Write(tx)
	return err
}

// InsertNew writes rows like Upsert does, leaves those alone whose unique key
// is there already, and returns how many it wrote. conflictCols name that key:
// on SQLite a row that breaks another one is an error, and with none named any
// key counts; MySQL cannot tell them apart and skips the row for any of them.
func InsertNew[T any](tx *gorm.DB, rows []T, conflictCols ...string) (int64, error) {
	bulk, err := InsertingNew(tx, rows, conflictCols...)
	if err != nil {
		return 0, err
	}
	return bulk.Write(tx)
}

// Insert writes rows that must not be there yet, in the order they come in.
func Insert[T any](tx *gorm.DB, rows []T) error {
	bulk, err := Inserting(tx, rows)
	if err != nil {
		return err
	}
	_, err = bulk.Write(tx)
	return err
}

// Bulk is rows made ready to be written: it holds their values, not the rows,
// which may change or be written again meanwhile.
type Bulk struct {
	table      string
	statements []statement
}

type statement struct {
	text string
	args []any
	rows int
}

// Upserting makes ready what Upsert writes.
func Upserting[T any](db *gorm.DB, rows []T, keyCols, updateCols []string) (Bulk, error) {
	if len(keyCols) == 0 || len(updateCols) == 0 {
		return Bulk{}, errors.New("database: Upsert needs key columns and columns to update")
	}
	return ready(db, rows, keyCols, func(dialect string, _ *table) string {
		return onConflictUpdate(dialect, keyCols, updateCols, func(_, given string) string { return given })
	})
}

// Adding makes ready what adds to numbers: a row whose keyCols are new is inserted, and to the addCols of one that is
// there those of the given one are added. Rows are written as Upsert does it; no two may have one key.
func Adding[T any](db *gorm.DB, rows []T, keyCols, addCols []string) (Bulk, error) {
	if len(keyCols) == 0 || len(addCols) == 0 {
		return Bulk{}, errors.New("database: Adding needs key columns and columns to add to")
	}
	return ready(db, rows, keyCols, func(dialect string, t *table) string {
		return onConflictUpdate(dialect, keyCols, addCols, func(column, given string) string {
			return quote(t.name) + "." + column + "+" + given
		})
	})
}

// InsertingNew makes ready what InsertNew writes.
func InsertingNew[T any](db *gorm.DB, rows []T, conflictCols ...string) (Bulk, error) {
	return ready(db, rows, conflictCols, func(dialect string, t *table) string {
		return onConflictIgnore(dialect, conflictCols, t.names[0])
	})
}

// Inserting makes ready what Insert writes.
func Inserting[T any](db *gorm.DB, rows []T) (Bulk, error) {
	return ready(db, rows, nil, func(string, *table) string { return "" })
}

// Write writes the rows and returns how many; it may be called again after a transaction that was rolled back.
func (b Bulk) Write(tx *gorm.DB) (int64, error) {
	var written int64
	for _, s := range b.statements {
		// Past gorm's own Exec, which would go through the text for every value.
		done, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, s.text, s.args...)
		if err == nil {
			var n int64
			n, err = done.RowsAffected()
			written += n
		}
		if translator, ok := tx.Dialector.(gorm.ErrorTranslator); ok && err != nil {
			err = translator.Translate(err)
		}
		if err != nil {
			return written, fmt.Errorf("write %d rows of %s: %w", s.rows, b.table, err)
		}
	}
	return written, nil
}

// ready makes statements of rows, each ending in what onConflict says.
func ready[T any](db *gorm.DB, rows []T, keyCols []string, onConflict func(dialect string, t *table) string) (Bulk, error) {
	if len(rows) == 0 {
		return Bulk{}, nil
	}
	t, err := tableOf[T](db)
	if err != nil {
		return Bulk{}, err
	}
	values, err := t.values(db, rows, keyCols)
	if err != nil {
		return Bulk{}, err
	}
	bulk := Bulk{table: t.name}
	conflict := onConflict(Dialect(db), t)
	chunk := min(mostRows, max(1, mostPlaceholders/len(t.fields)))
	for len(values) > 0 {
		n := min(chunk, len(values)/len(t.fields))
		s := statement{text: t.statement(n) + conflict, args: values[:n*len(t.fields)], rows: n}
		if n == chunk && len(bulk.statements) > 0 {
			s.text = bulk.statements[0].text
		}
		bulk.statements = append(bulk.statements, s)
		values = values[n*len(t.fields):]
	}
	return bulk, nil
}

// onConflictUpdate sets columns of a row that is there to what become makes of the column and of the value that was given
// for it.
func onConflictUpdate(dialect string, keyCols, updateCols []string, become func(column, given string) string) string {
	sets := make([]string, len(updateCols))
	for i, c := range updateCols {
		column := quote(c)
		given := "excluded." + column
		if dialect == MySQL {
			given = "VALUES(" + column + ")" // the spelling that MySQL, MariaDB and TiDB share
		}
		sets[i] = column + "=" + become(column, given)
	}
	if dialect == MySQL {
		return " ON DUPLICATE KEY UPDATE " + strings.Join(sets, ",")
	}
	return " ON CONFLICT (" + quoteAll(keyCols) + ") DO UPDATE SET " + strings.Join(sets, ",")
}

// onConflictIgnore does not use MySQL's INSERT IGNORE, which would also swallow
// values that are too long and references to nothing.
// MySQL needs some column to leave as it is: the key's, or else the table's first.
func onConflictIgnore(dialect string, cols []string, first string) string {
	switch {
	case dialect == MySQL:
		left := append(slices.Clone(cols), first)[0]
		return " ON DUPLICATE KEY UPDATE " + quote(left) + "=" + quote(left)
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

// values takes the columns' values out of rows, one row after the other, in the
// drivers' own types, and puts the rows in the order of their keys.
func (t *table) values(db *gorm.DB, rows any, keyCols []string) ([]any, error) {
	list := reflect.ValueOf(rows)
	width := len(t.fields)
	flat := make([]any, list.Len()*width)
	order := make([][]any, list.Len())
	for r := range order {
		row := flat[r*width : (r+1)*width : (r+1)*width]
		for i, f := range t.fields {
			v, zero := f.ValueOf(db.Statement.Context, list.Index(r))
			if zero && f.AutoIncrement {
				continue
			}
			plain, err := plainValue(v)
			if err != nil {
				return nil, fmt.Errorf("row %d of %s: %s: %w", r, t.name, f.DBName, err)
			}
			row[i] = plain
		}
		order[r] = row
	}
	if len(keyCols) == 0 {
		return flat, nil
	}
	var keys []int
	for _, c := range keyCols {
		i := slices.Index(t.names, c)
		if i < 0 {
			return nil, fmt.Errorf("database: %s has no column %s", t.name, c)
		}
		keys = append(keys, i)
	}
	byKey := func(a, b []any) int {
		for _, k := range keys {
			if c := compare(a[k], b[k]); c != 0 {
				return c
			}
		}
		return 0
	}
	if slices.IsSortedFunc(order, byKey) {
		return flat, nil
	}
	slices.SortStableFunc(order, byKey)
	return slices.Concat(order...), nil
}

// plainValue is a value in a driver's own types. Bytes are the row's own: whoever makes rows ready does not write
// into them later.
func plainValue(v any) (any, error) {
	switch v := v.(type) {
	case int64, string, []byte, bool:
		return v, nil
	case *string:
		if v != nil {
			return *v, nil
		}
	}
	return driver.DefaultParameterConverter.ConvertValue(v)
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
