package wechat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/client"
	"kfactor/internal/database/databasetest"
)

// vaults are those of several processes over one database.
func vaults(t *testing.T, db *gorm.DB, now func() time.Time, n int) []*vault {
	t.Helper()
	var all []*vault
	for range n {
		a, err := Open(Config{DB: db, Secret: make([]byte, 32), Now: now})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, newVault(a, "main"))
	}
	return all
}

func TestVault(t *testing.T) {
	t.Parallel()

	t.Run("OfAllWhoNeedATokenOneFetchesIt", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			var fetched atomic.Int64
			fetch := func(context.Context) (client.Token, error) {
				n := fetched.Add(1)
				time.Sleep(50 * time.Millisecond) // as a call does
				return client.Token{Value: fmt.Sprint("token", n), Expires: time.Now().Add(time.Hour)}, nil
			}
			all := vaults(t, db, time.Now, 3)
			ask := func(stale, want string) {
				var group sync.WaitGroup
				for i := range 30 {
					group.Go(func() {
						got, err := all[i%len(all)].Token(t.Context(), "access_token", stale, fetch)
						if err != nil || got.Value != want {
							t.Errorf("%+v %v", got, err)
						}
					})
				}
				group.Wait()
			}
			ask("", "token1")
			ask("", "token1")
			ask("token1", "token2") // refused by the platform
			ask("", "token2")
			if fetched.Load() != 2 {
				t.Errorf("%d were fetched", fetched.Load())
			}
			var rows []token
			if err := db.Find(&rows).Error; err != nil || len(rows) != 1 || string(rows[0].ValueEnc) == "token2" {
				t.Errorf("%+v %v", rows, err)
			}
		})
	})

	t.Run("WhoDiesWhileFetchingHoldsNobodyUpForLong", func(t *testing.T) {
		t.Parallel()
		var shift atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		all := vaults(t, databasetest.SQLite(t), now, 2)
		row, err := all[0].row(t.Context(), "access_token")
		if err != nil {
			t.Fatal(err)
		}
		if mine, err := all[0].lock(t.Context(), &row); !mine || err != nil { // and is never heard of again
			t.Fatal(mine, err)
		}
		fetch := func(context.Context) (client.Token, error) {
			return client.Token{Value: "token", Expires: now().Add(time.Hour)}, nil
		}
		soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := all[1].Token(soon, "access_token", "", fetch); err == nil {
			t.Error("two fetched at once")
		}
		shift.Store(int64(tokenLease + time.Second))
		if got, err := all[1].Token(t.Context(), "access_token", "", fetch); err != nil || got.Value != "token" {
			t.Errorf("%+v %v", got, err)
		}
	})

	t.Run("AFailureIsNotRepeatedAtOnce", func(t *testing.T) {
		t.Parallel()
		all := vaults(t, databasetest.SQLite(t), time.Now, 1)
		calls := 0
		fetch := func(context.Context) (client.Token, error) {
			calls++
			return client.Token{}, errors.New("wrong secret")
		}
		for range 10 {
			if _, err := all[0].Token(t.Context(), "access_token", "", fetch); err == nil || err.Error() != "wrong secret" {
				t.Error(err)
			}
		}
		if calls > 2 {
			t.Errorf("%d calls", calls)
		}
	})

	t.Run("AnOldTokenServesWhileTheNextCannotBeHad", func(t *testing.T) {
		t.Parallel()
		at := time.Now()
		all := vaults(t, databasetest.SQLite(t), func() time.Time { return at }, 1)
		if _, err := all[0].Token(t.Context(), "access_token", "", func(context.Context) (client.Token, error) {
			return client.Token{Value: "token", Expires: at.Add(time.Hour)}, nil
		}); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour + tokenGrace/2)
		failing := func(context.Context) (client.Token, error) { return client.Token{}, errors.New("away") }
		if got, err := all[0].Token(t.Context(), "access_token", "", failing); err != nil || got.Value != "token" {
			t.Errorf("%+v %v", got, err)
		}
		at = at.Add(tokenGrace)
		if _, err := all[0].Token(t.Context(), "access_token", "", failing); err == nil {
			t.Error("a token that is over was given")
		}
	})
}
