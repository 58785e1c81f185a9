package database_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/services"
)

func TestTransact(t *testing.T) {
	t.Parallel()

	count := func(t *testing.T, db *gorm.DB) int64 {
		t.Helper()
		var n int64
		must(t, db.WithContext(context.Background()).Model(&thing{}).Count(&n).Error)
		return n
	}

	t.Run("AnErrorTakesEverythingBackAndComesOut", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			sorry := errors.New("sorry")
			runs := 0
			err := database.Transact(t.Context(), db, func(tx *gorm.DB) error {
				runs++
				must(t, tx.Create(&thing{Shelf: 1, Name: "a"}).Error)
				return sorry
			})
			if !errors.Is(err, sorry) || runs != 1 || count(t, db) != 0 {
				t.Fatalf("%v after %d runs, %d rows", err, runs, count(t, db))
			}
		})
	})

	t.Run("APanicTakesEverythingBackAndGoesOn", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic was swallowed")
					}
				}()
				_ = database.Transact(t.Context(), db, func(tx *gorm.DB) error {
					must(t, tx.Create(&thing{Shelf: 1, Name: "a"}).Error)
					panic("oh")
				})
			}()
			if n := count(t, db); n != 0 {
				t.Fatalf("%d rows", n)
			}
			must(t, database.Transact(t.Context(), db, func(tx *gorm.DB) error {
				return tx.Create(&thing{Shelf: 1, Name: "a"}).Error
			}))
		})
	})

	t.Run("AContextThatEndsTakesEverythingBack", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			ctx, cancel := context.WithCancel(t.Context())
			err := database.Transact(ctx, db, func(tx *gorm.DB) error {
				must(t, tx.Create(&thing{Shelf: 1, Name: "a"}).Error)
				cancel()
				return nil
			})
			if err == nil || count(t, db) != 0 {
				t.Fatalf("%v, %d rows", err, count(t, db))
			}
		})
	})

	t.Run("OneInsideAnotherIsRefused", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, db *gorm.DB) {
			err := database.Transact(t.Context(), db, func(tx *gorm.DB) error {
				return database.Transact(t.Context(), tx, func(*gorm.DB) error { return nil })
			})
			if err == nil {
				t.Fatal("no error")
			}
		})
	})

	t.Run("TheOneThatADeadlockThrowsOutRunsAgain", func(t *testing.T) {
		t.Parallel()
		db := open(t, services.MySQL(t))
		must(t, db.Exec(fmt.Sprintf(things, "BIGINT AUTO_INCREMENT PRIMARY KEY")).Error)
		must(t, db.Create([]thing{{Shelf: 1, Name: "a"}, {Shelf: 1, Name: "b"}}).Error)

		// Both hold their first row before either asks for its second.
		var bothHold sync.WaitGroup
		bothHold.Add(2)
		var runs [2]int
		var errs [2]error
		var done sync.WaitGroup
		for i, order := range [2][2]string{{"a", "b"}, {"b", "a"}} {
			done.Go(func() {
				errs[i] = database.Transact(t.Context(), db, func(tx *gorm.DB) error {
					runs[i]++
					for step, name := range order {
						err := tx.Exec("UPDATE things SET count = count + 1 WHERE shelf = 1 AND name = ?", name).Error
						if err != nil {
							return err
						}
						if step == 0 && runs[i] == 1 {
							bothHold.Done()
							bothHold.Wait()
						}
					}
					return nil
				})
			})
		}
		done.Wait()
		must(t, errors.Join(errs[:]...))
		if runs[0]+runs[1] < 3 {
			t.Errorf("ran %v times: there was no deadlock", runs)
		}
		var total int64
		must(t, db.Raw("SELECT SUM(count) FROM things").Scan(&total).Error)
		if total != 4 {
			t.Errorf("counted %d, want each of two transactions to count twice", total)
		}
	})

	t.Run("ManyWritersOverSeveralConnectionsAllGetThrough", func(t *testing.T) {
		t.Parallel()
		path := "sqlite://" + filepath.Join(t.TempDir(), "a.db")
		first := open(t, path)
		must(t, first.Exec(fmt.Sprintf(things, "INTEGER PRIMARY KEY")).Error)
		must(t, first.Create(&thing{Shelf: 1, Name: "a"}).Error)

		const programs, writers, times = 3, 4, 5
		var all sync.WaitGroup
		for range programs {
			db := open(t, path) // what another process would do
			for range writers {
				all.Go(func() {
					for range times {
						err := database.Transact(t.Context(), db, func(tx *gorm.DB) error {
							var a thing
							if err := tx.First(&a, "name = ?", "a").Error; err != nil {
								return err
							}
							return tx.Model(&thing{}).Where("id = ?", a.ID).Update("count", a.Count+1).Error
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		var a thing
		must(t, first.First(&a).Error)
		if a.Count != programs*writers*times {
			t.Errorf("counted %d of %d: an update was lost", a.Count, programs*writers*times)
		}
	})

	t.Run("WhatStaysInTheWayIsToldAsBusy", func(t *testing.T) {
		t.Parallel()
		db := open(t, services.MySQL(t))
		must(t, db.Exec(fmt.Sprintf(things, "BIGINT AUTO_INCREMENT PRIMARY KEY")).Error)
		must(t, db.Create(&thing{Shelf: 1, Name: "a"}).Error)
		must(t, database.Transact(t.Context(), db, func(holder *gorm.DB) error {
			must(t, holder.Exec("UPDATE things SET count = 1").Error)
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			runs := 0
			err := database.Transact(ctx, db, func(tx *gorm.DB) error {
				runs++
				must(t, tx.Exec("SET innodb_lock_wait_timeout = 0").Error)
				err := tx.Exec("UPDATE things SET count = 2").Error
				must(t, tx.Exec("SET innodb_lock_wait_timeout = 10").Error)
				return err
			})
			if fault.KindOf(err) != fault.Unavailable || !database.IsRetryable(err) || runs < 2 {
				t.Errorf("%v after %d runs", err, runs)
			}
			return nil
		}))
	})
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *gorm.DB) {
		must(t, db.Create(&thing{ID: 7, Shelf: 1, Name: "secret"}).Error)
		for what, again := range map[string]*thing{
			"primary key": {ID: 7, Shelf: 1, Name: "other"},
			"unique key":  {Shelf: 1, Name: "secret"},
		} {
			if err := db.Create(again).Error; !database.IsDuplicate(err) || database.IsRetryable(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := db.Create(&thing{Shelf: 2, Name: "a", Count: -1}).Error; !database.IsRefused(err) || database.IsDuplicate(err) || database.IsRetryable(err) {
			t.Errorf("check: %v", err)
		}
		if err := db.Exec("INSERT INTO things (shelf, name) VALUES (3, NULL)").Error; !database.IsRefused(err) {
			t.Errorf("null: %v", err)
		}
		if err := db.Exec("INSERT INTO nowhere VALUES (1)").Error; err == nil || database.IsRefused(err) {
			t.Errorf("no such table: %v", err)
		}
		if database.IsDuplicate(nil) || database.IsRetryable(nil) || database.IsDuplicate(gorm.ErrRecordNotFound) {
			t.Error("what is no failure was taken for one")
		}
	})
}
