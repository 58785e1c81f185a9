package database

import (
	"database/sql"

	"gorm.io/gorm"
)

// Each hands the rows of a query to read, one after the other. It is for reads that are made for every batch of
// events, where mapping rows to structs by reflection takes longer than the database does.
func Each(db *gorm.DB, read func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := db.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
