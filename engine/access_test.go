package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h, other := open(t, db), open(t, db)
		secret, key, err := h.CreateKey(t.Context(), "finance", "books")
		if err != nil || key.Role != "finance" || key.Name != "books" || !strings.HasPrefix(secret, "kf_") {
			t.Fatalf("%q %+v %v", secret, key, err)
		}

		t.Run("ItsSecretOpensAndIsNotStored", func(t *testing.T) {
			for _, e := range []*house{h, other, h} {
				if v, err := e.Authenticate(t.Context(), secret); err != nil || v.ID != key.ID {
					t.Errorf("%+v %v", v, err)
				}
			}
			for _, row := range rows(t, db, "api_keys", "id") {
				if strings.Contains(fmt.Sprint(row), secret[3:]) {
					t.Errorf("%v holds the secret", row)
				}
			}
		})

		t.Run("NothingElseOpens", func(t *testing.T) {
			for _, forged := range []string{"", "kf_", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), key.ID, "kf_" + strings.Repeat("a", 1<<20)} {
				if _, err := h.Authenticate(t.Context(), forged); fault.KindOf(err) != fault.Unauthorized {
					t.Errorf("%.20q: %v", forged, err)
				}
			}
		})

		t.Run("ARoleMustBeOneOfTheSix", func(t *testing.T) {
			if _, _, err := h.CreateKey(t.Context(), "root", ""); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "reviewer") {
				t.Error(err)
			}
			if _, _, err := h.CreateKey(t.Context(), "owner", "a\nb"); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
		})

		t.Run("ARevokedKeyOpensNoMoreAndIsStillListed", func(t *testing.T) {
			if err := h.RevokeKey(t.Context(), key.ID); err != nil {
				t.Fatal(err)
			}
			fresh := open(t, db) // it has not seen the key before; others notice within seconds
			if _, err := fresh.Authenticate(t.Context(), secret); fault.KindOf(err) != fault.Unauthorized {
				t.Error(err)
			}
			if _, err := h.Authenticate(t.Context(), secret); fault.KindOf(err) != fault.Unauthorized {
				t.Errorf("the engine that revoked it: %v", err)
			}
			list, err := h.Keys(t.Context())
			if err != nil || len(list) != 1 || list[0].RevokedAt == nil {
				t.Errorf("%+v %v", list, err)
			}
			if err := h.RevokeKey(t.Context(), key.ID); fault.KindOf(err) != fault.NotFound {
				t.Error(err)
			}
		})
	})
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		body := []byte(`{"a": 1}`)
		answer := engine.StoredAnswer{Status: 201, ContentType: "application/json", Body: []byte{0, 255, '{'}}
		answers := func(context.Context) (engine.StoredAnswer, error) { return answer, nil }
		fails := func(context.Context) (engine.StoredAnswer, error) { return engine.StoredAnswer{}, errors.New("no") }
		never := func(context.Context) (engine.StoredAnswer, error) {
			t.Error("it ran again")
			return engine.StoredAnswer{}, nil
		}
		// underWay begins a call that ends when end is called, which gives what Once gave.
		underWay := func(scope string) (call context.Context, end func() error) {
			began, ended, told := make(chan context.Context), make(chan struct{}), make(chan error, 1)
			go func() {
				_, _, err := h.Once(t.Context(), scope, "k", body, func(ctx context.Context) (engine.StoredAnswer, error) {
					began <- ctx
					<-ended
					return answer, context.Cause(ctx)
				})
				told <- err
			}()
			return <-began, func() error {
				close(ended)
				return <-told
			}
		}

		t.Run("TheFirstCallRunsAndTheSecondGetsItsAnswer", func(t *testing.T) {
			_, end := underWay("key POST /x")
			if _, _, err := h.Once(t.Context(), "key POST /x", "k", body, never); fault.KindOf(err) != fault.Conflict {
				t.Errorf("while it runs: %v", err)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			a, repeated, err := open(t, db).Once(t.Context(), "key POST /x", "k", body, never)
			if err != nil || !repeated || a.Status != 201 || string(a.Body) != string(answer.Body) || a.ContentType != answer.ContentType {
				t.Errorf("%+v %v %v", a, repeated, err)
			}
		})

		t.Run("AnotherBodyIsRefusedAnotherScopeIsAnother", func(t *testing.T) {
			if _, _, err := h.Once(t.Context(), "key POST /x", "k", []byte("{}"), never); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			if _, repeated, err := h.Once(t.Context(), "key POST /y", "k", body, fails); repeated || err == nil {
				t.Error(repeated, err)
			}
		})

		t.Run("ACallThatFailsMayBeMadeAgain", func(t *testing.T) {
			if _, repeated, err := h.Once(t.Context(), "key POST /y", "k", body, answers); repeated || err != nil {
				t.Error(repeated, err)
			}
		})

		t.Run("ACallThatPanicsMayBeMadeAgain", func(t *testing.T) {
			func() {
				defer func() { _ = recover() }()
				_, _, _ = h.Once(t.Context(), "key POST /p", "k", body, func(context.Context) (engine.StoredAnswer, error) { panic("no") })
			}()
			if _, repeated, err := h.Once(t.Context(), "key POST /p", "k", body, answers); repeated || err != nil {
				t.Error(repeated, err)
			}
		})

		t.Run("AKeyIsNewAfterADay", func(t *testing.T) {
			h.clock.Advance(25 * time.Hour)
			if _, repeated, err := h.Once(t.Context(), "key POST /x", "k", []byte("other"), answers); repeated || err != nil {
				t.Error(repeated, err)
			}
		})

		t.Run("OfManyAtOnceOneRuns", func(t *testing.T) {
			var ran atomic.Int64
			all(t, 20, func(int) error {
				_, _, err := h.Once(t.Context(), "key POST /z", "k", body, func(context.Context) (engine.StoredAnswer, error) {
					ran.Add(1)
					return answer, nil
				})
				if err != nil && fault.KindOf(err) != fault.Conflict {
					return err
				}
				return nil
			})
			if ran.Load() != 1 {
				t.Errorf("%d ran", ran.Load())
			}
		})

		t.Run("AnswersOfADayAgoAreDeleted", func(t *testing.T) {
			rows := func() (n int64) {
				if err := db.Raw("SELECT COUNT(*) FROM idempotency_keys").Scan(&n).Error; err != nil {
					t.Fatal(err)
				}
				return n
			}
			h.clock.Advance(23 * time.Hour)
			if _, _, err := h.Once(t.Context(), "key POST /late", "k", body, answers); err != nil {
				t.Fatal(err)
			}
			h.clock.Advance(2 * time.Hour)
			if rows() < 2 {
				t.Fatal("nothing is old")
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- h.Run(ctx) }()
			until(t, func() bool { return rows() == 1 })
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if _, repeated, err := h.Once(t.Context(), "key POST /late", "k", body, never); err != nil || !repeated {
				t.Errorf("the one of two hours ago: %v %v", repeated, err)
			}
		})

		made := func() (at int64) { // when the one call under way was last said to live
			if err := db.Raw("SELECT created_at FROM idempotency_keys WHERE status = 0").Scan(&at).Error; err != nil {
				t.Fatal(err)
			}
			return at
		}

		t.Run("ALongCallKeepsItsKey", func(t *testing.T) {
			_, end := underWay("key POST /long")
			for range 2 {
				h.clock.Advance(9 * time.Second)
				until(t, func() bool { return made() == h.clock.Now().UnixMilli() })
			}
			if _, _, err := h.Once(t.Context(), "key POST /long", "k", body, never); fault.KindOf(err) != fault.Conflict {
				t.Errorf("after 18 seconds: %v", err)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if _, repeated, err := h.Once(t.Context(), "key POST /long", "k", body, never); err != nil || !repeated {
				t.Errorf("after its end: %v %v", repeated, err)
			}
		})

		t.Run("ACallThatDiedLosesItsKeyAndOneThatLostItEnds", func(t *testing.T) {
			call, end := underWay("key POST /dead")
			// As long silent as one whose process is gone.
			if err := db.Exec("UPDATE idempotency_keys SET created_at = created_at - 11000 WHERE status = 0").Error; err != nil {
				t.Fatal(err)
			}
			if _, repeated, err := h.Once(t.Context(), "key POST /dead", "k", body, answers); repeated || err != nil {
				t.Errorf("the second: %v %v", repeated, err)
			}
			select {
			case <-call.Done():
			case <-time.After(20 * time.Second):
				t.Error("the first goes on beside the second")
			}
			if err := end(); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("the first: %v", err)
			}
			if _, repeated, err := h.Once(t.Context(), "key POST /dead", "k", body, never); err != nil || !repeated {
				t.Errorf("the second's answer: %v %v", repeated, err)
			}
		})
	})
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h, other := open(t, db), open(t, db)
		id := h.launch(definition(spring))
		yaml := func(pairs ...string) []byte { return []byte(strings.NewReplacer(pairs...).Replace(definition(spring))) }

		t.Run("ACampaignIsCreatedOnce", func(t *testing.T) {
			if _, err := h.CreateCampaign(t.Context(), yaml(), "c.yaml", "t"); fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
			made := make([]error, 8)
			all(t, len(made), func(i int) error {
				_, made[i] = []*house{h, other}[i%2].CreateCampaign(t.Context(), yaml("campaign: c", "campaign: twice"), "c.yaml", "t")
				return nil
			})
			ok := 0
			for _, err := range made {
				if err == nil {
					ok++
				} else if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
				}
			}
			if ok != 1 {
				t.Errorf("%d were created", ok)
			}
		})

		t.Run("ItIsLaunchedOnceAndTurnsOnlyAsItsStateAllows", func(t *testing.T) {
			if _, err := h.Turn(t.Context(), id, "launch", "t"); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "live") {
				t.Error(err)
			}
			if _, err := h.Turn(t.Context(), id, "explode", "t"); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			turned := make([]error, 8)
			all(t, len(turned), func(i int) error {
				_, turned[i] = []*house{h, other}[i%2].Turn(t.Context(), "twice", "launch", "t")
				return nil
			})
			ok := 0
			for _, err := range turned {
				if err == nil {
					ok++
				} else if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
				}
			}
			if ok != 1 {
				t.Errorf("%d were launched", ok)
			}
		})

		t.Run("ARevisionThatBreaksPromisesIsRefusedByField", func(t *testing.T) {
			_, err := h.ReviseCampaign(t.Context(), id, yaml("invite: 2", "invite: 9", `"500.00"`, `"600.00"`), "c.yaml", "t")
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Kind != fault.Conflict || len(refused.Fields) != 1 || refused.Fields[0].Field != "tiers[0].requires.invite" {
				t.Errorf("%+v", err)
			}
			v, err := h.Campaign(t.Context(), id)
			if err != nil || v.Revision != 1 {
				t.Errorf("%+v %v", v, err)
			}
			plan, err := h.PlanCampaign(t.Context(), yaml("invite: 2", "invite: 9"), "c.yaml")
			if err != nil || len(plan.Refused) != 1 {
				t.Errorf("%+v %v", plan, err)
			}
		})

		t.Run("RevisionsAtOnceAllHaveTheirNumberAndOneIsInForce", func(t *testing.T) {
			all(t, 8, func(i int) error {
				_, err := []*house{h, other}[i%2].ReviseCampaign(t.Context(), id, yaml("name: Test", fmt.Sprint("name: Test ", i)), "c.yaml", "t")
				return err
			})
			v, err := h.Campaign(t.Context(), id)
			if err != nil || !strings.HasPrefix(v.Name, "Test ") || len(rows(t, db, "revisions", "revision")) < 9 {
				t.Errorf("%+v %v", v, err)
			}
		})

		t.Run("TheSameAgainChangesNothing", func(t *testing.T) {
			before, err := h.Campaign(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			after, err := h.ReviseCampaign(t.Context(), id, yaml("name: Test", "name: "+before.Name), "c.yaml", "t")
			if err != nil || after.Revision != before.Revision {
				t.Errorf("%+v %v", after, err)
			}
		})

		t.Run("TheOtherProcessSeesADecisionAtOnce", func(t *testing.T) {
			if _, err := other.Turn(t.Context(), id, "pause", "t"); err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.Join(t.Context(), id, engine.Joining{User: "late"}); fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
		})
	})
}

func TestCouponsImportedFromTwoSides(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h, other := open(t, db), open(t, db)
		id := h.launch(definition(strings.Replace(spring, "invite: 2", "invite: 1", 1)))
		var codes []string
		for i := range 12 {
			p := h.join(id, fmt.Sprint("user ", i))
			h.post(id, what{kind: "subscribe", user: fmt.Sprint("friend ", i), code: p.Code})
			codes = append(codes, p.Code)
		}
		var imported atomic.Int64
		all(t, 6, func(i int) error {
			var list strings.Builder
			for n := range 4 {
				fmt.Fprintf(&list, "CODE-%d\n", i*2+n) // neighbours share two
			}
			for {
				got, err := []*house{h, other}[i%2].ImportCoupons(t.Context(), id, "coupon", strings.NewReader(list.String()), "t")
				if fault.KindOf(err) == fault.Conflict || fault.KindOf(err) == fault.Unavailable {
					continue // another import is under way
				}
				if got.Imported+got.Duplicates != 4 && err == nil {
					t.Errorf("%+v", got)
				}
				imported.Add(int64(got.Imported))
				return err
			}
		})
		if imported.Load() != 14 {
			t.Errorf("%d codes were imported of 14", imported.Load())
		}
		h.settled(id)
		var handed []string
		for _, c := range codes {
			items, err := h.Wallet(t.Context(), id, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				if item.Coupon != "" {
					handed = append(handed, item.Coupon)
				}
			}
		}
		slices.Sort(handed)
		if n := len(handed); n != 12 || len(slices.Compact(handed)) != 12 {
			t.Errorf("%d codes are handed out: %q", n, handed)
		}
		h.balanced()
	})
}

func TestGrantsPages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		books(h)
		walk := func(q engine.GrantQuery, size int) []string {
			var ids []string
			for cursor := ""; ; {
				list, err := h.Grants(t.Context(), q, engine.Page{Limit: size, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range list.Items {
					ids = append(ids, g.ID)
				}
				if cursor = list.Next; cursor == "" {
					return ids
				}
			}
		}
		whole := walk(engine.GrantQuery{}, 1000)
		if len(whole) != 12 {
			t.Fatalf("%q", whole)
		}
		for _, size := range []int{1, 5, 6, 11} {
			if got := walk(engine.GrantQuery{}, size); !slices.Equal(got, whole) {
				t.Errorf("pages of %d: %q", size, got)
			}
		}
		want(t, walk(engine.GrantQuery{User: "B"}, 3), "c.3", "c.4", "d.3", "d.4")
		want(t, walk(engine.GrantQuery{Campaign: "d", User: "B", State: "revoked"}, 3), "d.3", "d.4")
		want(t, walk(engine.GrantQuery{User: "nobody"}, 3))
		if _, err := h.Grants(t.Context(), engine.GrantQuery{State: "lost"}, engine.Page{}); fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		if _, err := h.Decide(t.Context(), "c.999", "approve", "", "t"); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
		for _, id := range []string{"", "c", "c.", "c.x", "nowhere.1", "c.-1", ".1"} {
			if _, err := h.Decide(t.Context(), id, "approve", "", "t"); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}
