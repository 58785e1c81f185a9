package database_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"gorm.io/gorm"

	"kfactor/internal/database"
)

func TestUpsert(t *testing.T) {
	t.Parallel()

	key, rest := []string{"shelf", "name"}, []string{"count"}

	t.Run("NewRowsAreWrittenAndOldOnesOverwritten", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			const many = 2500 // several statements
			rows := make([]thing, many)
			for i := range rows {
				rows[i] = thing{Shelf: int64(i % 7), Name: fmt.Sprint("n", i), Count: int64(i), Raw: []byte{byte(i), 0, '\'', '\\'}}
			}
			must(t, database.Upsert(db, rows[:many/2], key, rest))
			for i := range rows {
				rows[i].Count += 10
				rows[i].Raw = nil
			}
			slices.Reverse(rows)
			must(t, database.Upsert(db, rows, key, rest))

			var back []thing
			must(t, db.Find(&back).Error)
			if len(back) != many {
				t.Fatalf("%d rows, want %d", len(back), many)
			}
			for _, r := range back {
				var n int64
				if _, err := fmt.Sscanf(r.Name, "n%d", &n); err != nil {
					t.Fatal(err)
				}
				var raw []byte // only the first half's rows were inserted with one, and none was overwritten
				if n < many/2 {
					raw = []byte{byte(n), 0, '\'', '\\'}
				}
				if r.Count != n+10 || r.Shelf != n%7 || !bytes.Equal(r.Raw, raw) || r.ID == 0 {
					t.Fatalf("row %+v", r)
				}
			}
		})
	})

	t.Run("OfTwoRowsWithOneKeyTheLaterWins", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			must(t, database.Upsert(db, []thing{{Shelf: 1, Name: "a", Count: 1}, {Shelf: 1, Name: "a", Count: 2}}, key, rest))
			var a thing
			must(t, db.First(&a).Error)
			if a.Count != 2 {
				t.Fatalf("count %d", a.Count)
			}
		})
	})

	t.Run("TwoThatWriteTheSameRowsInAnyOrderBothGetThrough", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			var all sync.WaitGroup
			for w := range 2 {
				rows := make([]thing, 200)
				for i := range rows {
					rows[i] = thing{Shelf: 1, Name: fmt.Sprint(i), Count: int64(w)}
				}
				if w == 1 {
					slices.Reverse(rows)
				}
				all.Go(func() {
					for range 5 {
						err := database.Transact(t.Context(), db, func(tx *gorm.DB) error {
							return database.Upsert(tx, rows, key, rest)
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	})

	t.Run("NoRowsAreNoStatementAndNoKeyIsAnError", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			must(t, database.Upsert(db, []thing{}, key, rest))
			for _, err := range []error{
				database.Upsert(db, []thing{{}}, nil, rest),
				database.Upsert(db, []thing{{}}, key, nil),
				database.Upsert(db, []thing{{}}, []string{"colour"}, rest),
				database.Upsert(db, []int{1}, key, rest),
			} {
				if err == nil {
					t.Error("no error")
				}
			}
		})
	})
}

func TestAdding(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *gorm.DB) {
		for _, rows := range [][]thing{
			{{Shelf: 1, Name: "a", Count: 1}, {Shelf: 1, Name: "b", Count: 20}},
			{{Shelf: 1, Name: "b", Count: 4}, {Shelf: 2, Name: "b", Count: 300}},
			{},
		} {
			bulk, err := database.Adding(db, rows, []string{"shelf", "name"}, []string{"count"})
			must(t, err)
			_, err = bulk.Write(db)
			must(t, err)
		}
		var got []int64
		must(t, db.Model(&thing{}).Order("shelf, name").Pluck("count", &got).Error)
		if !slices.Equal(got, []int64{1, 24, 300}) {
			t.Errorf("%v", got)
		}
	})
}

func TestInsertNew(t *testing.T) {
	t.Parallel()

	t.Run("WhatIsThereStaysAndWhatIsNewIsCounted", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			rows := make([]thing, 1500)
			for i := range rows {
				rows[i] = thing{Shelf: 1, Name: fmt.Sprint(i), Count: 1}
			}
			for _, step := range []struct {
				rows []thing
				want int64
			}{{nil, 0}, {rows[:400], 400}, {rows, 1100}, {rows, 0}} {
				for i := range step.rows {
					step.rows[i].Count++
				}
				got, err := database.InsertNew(db, step.rows, "shelf", "name")
				if err != nil || got != step.want {
					t.Fatalf("inserted %d, %v; want %d", got, err, step.want)
				}
			}
			var first thing
			must(t, db.First(&first, "name = ?", "0").Error)
			if first.Count != 2 {
				t.Errorf("count %d: what was there was overwritten", first.Count)
			}
			// A key that nobody named counts as well.
			got, err := database.InsertNew(db, []thing{{ID: first.ID, Shelf: 9, Name: "x"}, {Shelf: 1, Name: "0"}, {Shelf: 1, Name: "new"}, {Shelf: 1, Name: "new"}})
			if err != nil || got != 1 {
				t.Errorf("inserted %d, %v; want 1", got, err)
			}
		})
	})

	t.Run("WhatDoesNotFitIsAnErrorAndNotBent", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			_, err := database.InsertNew(db, []thing{{Shelf: 1, Name: "a", Count: -1}}, "shelf", "name")
			if err == nil {
				t.Error("a count below zero was taken")
			}
			if database.Dialect(db) == database.MySQL { // SQLite has no lengths
				long := string(bytes.Repeat([]byte("x"), 41))
				if _, err := database.InsertNew(db, []thing{{Shelf: 1, Name: long}}, "shelf", "name"); err == nil {
					t.Error("a name too long was taken")
				}
			}
		})
	})

	t.Run("AFirstColumnOfBytesIsOneValue", func(t *testing.T) {
		t.Parallel()
		type hashed struct {
			Hash []byte `gorm:"primaryKey"`
			Name string
		}
		each(t, func(t *testing.T, db *gorm.DB) {
			must(t, db.Exec("CREATE TABLE hasheds (hash BINARY(4) PRIMARY KEY, name VARCHAR(9) NULL)").Error)
			got, err := database.InsertNew(db, []hashed{{Hash: []byte{0, 1, 2, 255}, Name: "a"}, {Hash: []byte{9, 9, 9, 9}, Name: "b"}}, "hash")
			if err != nil || got != 2 {
				t.Fatalf("inserted %d, %v", got, err)
			}
			var back hashed
			must(t, db.First(&back, "name = ?", "a").Error)
			if !bytes.Equal(back.Hash, []byte{0, 1, 2, 255}) {
				t.Errorf("read %v", back.Hash)
			}
		})
	})

	t.Run("ItGoesBackWithItsTransaction", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			no := errors.New("no")
			err := database.Transact(t.Context(), db, func(tx *gorm.DB) error {
				if _, err := database.InsertNew(tx, []thing{{Shelf: 1, Name: "a"}}, "shelf", "name"); err != nil {
					return err
				}
				return no
			})
			var n int64
			must(t, db.Model(&thing{}).Count(&n).Error)
			if !errors.Is(err, no) || n != 0 {
				t.Errorf("%v, %d rows", err, n)
			}
		})
	})
}
