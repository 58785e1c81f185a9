package engine_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

const garden = `campaign: garden
name: Garden
schedule: {starts: 2026-01-01T00:00:00+08:00, ends: 2026-06-01T00:00:00+08:00, timezone: Asia/Shanghai}
poster: {size: [750, 1334], background: "#FFFFFF", layers: [{qr: {at: [235, 900], size: 280}}]}
tasks:
  invite: {on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe}
  buyer: {on: purchase, credit: inviter, hold: 24h}
tiers: [{name: A, requires: {invite: 1}, rewards: [mug, coupon]}]
rewards:
  mug: {kind: physical, unit_cost: "35.00", stock: 1, review: true, needs_address: true}
  coupon: {kind: coupon, unit_cost: "1.00", stock: 9}
`

func TestFriends(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(garden)
		a, b := h.join(id, "A"), h.join(id, "B")
		old := h.join(id, "old")
		h.post(id, what{kind: "subscribe", user: "A", code: b.Code}) // they came themselves by B
		h.clock.Advance(time.Minute)
		h.post(
			id,
			what{kind: "scan", user: "looker", code: a.Code},
			what{kind: "scan", user: "late", code: a.Code},
			what{kind: "scan", user: "switched", code: a.Code},
			what{kind: "subscribe", user: "switched", code: b.Code},
			what{kind: "subscribe", user: "stays", code: a.Code},
			what{kind: "subscribe", user: "leaves", code: a.Code},
			what{kind: "unsubscribe", user: "leaves"},
			what{kind: "subscribe", user: "old", code: a.Code},
			what{kind: "subscribe", user: "A", code: a.Code},
			what{kind: "purchase", user: "buys", code: a.Code},
			what{kind: "subscribe", user: "B", code: a.Code},
		)
		h.join(id, "stays")
		if _, err := h.Turn(h.ctx(), id, "pause", "tester"); err != nil {
			t.Fatal(err)
		}
		h.post(id, what{kind: "subscribe", user: "late", code: ""})
		_ = old

		v, err := h.Friends(h.ctx(), id, a.Code)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range v.Items {
			got = append(got, strings.TrimSpace(fmt.Sprint(f.Nickname, " ", f.State, " ", f.Outcome, " ", f.Reason, " ", strings.Join(f.Tasks, "+"))))
		}
		text := strings.Join(got, "\n")
		expected := strings.Join([]string{
			"refused campaign_not_live",
			"B refused self_invite loop",
			"waits",
			"old refused not_new_user",
			"left",
			"stays counts   invite",
			"refused duplicate_invitee other_inviter",
		}, "\n")
		if text != expected || v.Came != 1 || v.More {
			t.Fatalf("came %d more %v:\n%s\nwant\n%s", v.Came, v.More, text, expected)
		}
		for _, f := range v.Items {
			if f.State == engine.FriendWaits && !f.Until.Equal(h.clock.Now().Add(24*time.Hour)) {
				t.Errorf("the hold passes at %s", f.Until)
			}
		}
		if _, err := h.Friends(h.ctx(), id, "NOBODY2345"); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
		if none, err := h.Friends(h.ctx(), id, old.Code); err != nil || len(none.Items) != 0 || none.Came != 0 {
			t.Error(none, err)
		}
	})
}

func TestFriendsAreBounded(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	id := h.launch(garden)
	a := h.join(id, "A")
	var all []engine.Incoming
	for i := range 1300 {
		kind := "scan"
		if i%10 == 0 {
			kind = "subscribe"
		}
		all = append(all, engine.Incoming{ID: fmt.Sprint("f", i), Campaign: id, Type: kind, User: fmt.Sprint("friend", i), Code: a.Code})
	}
	for some := range slices.Chunk(all, 1000) {
		if _, err := h.Accept(h.ctx(), some); err != nil {
			t.Fatal(err)
		}
	}
	h.settled(id)
	v, err := h.Friends(h.ctx(), id, a.Code)
	if err != nil || len(v.Items) != 50 || !v.More || v.Came != 900 {
		t.Fatalf("%d friends, %d came, %v", len(v.Items), v.Came, err)
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(garden)
		a, b, c, d := h.join(id, "A"), h.join(id, "B"), h.join(id, "C"), h.join(id, "D")
		for i, code := range []string{a.Code, b.Code, b.Code, c.Code} {
			h.post(id, what{kind: "subscribe", user: fmt.Sprint("f", i), code: code})
		}
		for _, is := range []struct {
			code        string
			rank, count int64
		}{{b.Code, 1, 2}, {a.Code, 2, 1}, {c.Code, 3, 1}, {d.Code, 0, 0}} {
			got, err := h.Standing(h.ctx(), id, is.code)
			if err != nil || got.Rank != is.rank || got.Count != is.count || got.Beyond {
				t.Errorf("got %+v %v, want %+v", got, err, is)
			}
		}
	})
}

func TestCodeOfUser(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	id := h.launch(garden)
	a := h.join(id, "A")
	h.post(id, what{kind: "scan", user: "looker", code: a.Code})
	for user, code := range map[string]string{"A": a.Code, "looker": "", "nobody": ""} {
		if got, err := h.CodeOfUser(h.ctx(), id, user); err != nil || got != code {
			t.Errorf("%s has %q, %v", user, got, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(garden)
		a, b := h.join(id, "A"), h.join(id, "B")
		h.post(id, what{kind: "subscribe", user: "f", code: a.Code})
		h.post(id, what{kind: "subscribe", user: "g", code: b.Code})
		// A was given the only mug (1) and a coupon (2), B waits for a mug (3).
		home := engine.Address{Name: " 张伟 ", Phone: "138-0013 8000", Region: "浙江省 杭州市 西湖区", Street: "文三路 1 号 2 幢 303"}

		t.Run("AnAddressIsSealedAndOnlyItsOwnersGrantsTakeIt", func(t *testing.T) {
			if err := h.PutAddress(h.ctx(), id, a.Code, 1, home); err != nil {
				t.Fatal(err)
			}
			for code, grant := range map[string]int64{a.Code: 2, b.Code: 1, strings.ToLower(b.Code): 99} {
				if err := h.PutAddress(h.ctx(), id, code, grant, home); fault.KindOf(err) != fault.NotFound {
					t.Errorf("grant %d: %v", grant, err)
				}
			}
			if err := h.PutAddress(h.ctx(), id, b.Code, 3, home); err != nil {
				t.Errorf("who waits may say where to: %v", err)
			}
			for _, row := range rows(t, db, "addresses", "grant_no") {
				if text := fmt.Sprint(row); strings.Contains(text, "西湖") || strings.Contains(text, "8000") {
					t.Errorf("it shows: %s", text)
				}
			}
			var sealed [][]byte
			db.Table("addresses").Pluck("address_enc", &sealed)
			if len(sealed) != 2 || bytes.Contains(sealed[0], []byte("8000")) {
				t.Errorf("%q", sealed)
			}
		})

		t.Run("ItCanBeChangedUntilTheRewardIsDelivered", func(t *testing.T) {
			moved := home
			moved.Street = "文三路 9 号"
			if err := h.PutAddress(h.ctx(), id, a.Code, 1, moved); err != nil {
				t.Fatal(err)
			}
			got, err := h.GrantAddress(h.ctx(), id+".1")
			if err != nil || got.Street != "文三路 9 号" || got.Name != "张伟" || got.Grant != "garden.1" || got.UpdatedAt.IsZero() {
				t.Fatalf("%+v %v", got, err)
			}
			wallet, err := h.Wallet(h.ctx(), id, a.Code)
			if err != nil || wallet[0].Address == nil || wallet[0].Address.Street != "文三路 9 号" || !wallet[0].Sendable || wallet[1].NeedsAddress {
				t.Fatalf("%+v %v", wallet, err)
			}
			for _, verb := range []string{"approve", "deliver"} {
				if _, err := h.Decide(h.ctx(), id+".1", verb, "", "tester"); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.PutAddress(h.ctx(), id, a.Code, 1, home); fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
			if wallet, err = h.Wallet(h.ctx(), id, a.Code); err != nil || wallet[0].Sendable || wallet[0].Address == nil {
				t.Errorf("%+v %v", wallet, err)
			}
		})

		t.Run("AnErasedAddressIsGone", func(t *testing.T) {
			if err := h.TakeBackAddress(h.ctx(), id, a.Code, 1); fault.KindOf(err) != fault.Conflict {
				t.Errorf("one that was delivered: %v", err)
			}
			if err := h.TakeBackAddress(h.ctx(), id, a.Code, 3); fault.KindOf(err) != fault.NotFound {
				t.Errorf("somebody else's: %v", err)
			}
			if err := h.TakeBackAddress(h.ctx(), id, b.Code, 3); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := h.EraseAddress(h.ctx(), id+".1"); err != nil {
					t.Error(err)
				}
			}
			for _, grant := range []string{id + ".x", "nothing.1", ""} {
				if err := h.EraseAddress(h.ctx(), grant); fault.KindOf(err) != fault.NotFound {
					t.Errorf("%q: %v", grant, err)
				}
			}
			if left := rows(t, db, "addresses", "grant_no"); len(left) != 0 {
				t.Errorf("%v", left)
			}
		})

		t.Run("WhereNobodyWroteOneThereIsNone", func(t *testing.T) {
			for _, grant := range []string{id + ".2", id + ".77", id + ".x", "nothing.1", "", "."} {
				if _, err := h.GrantAddress(h.ctx(), grant); fault.KindOf(err) != fault.NotFound {
					t.Errorf("%q: %v", grant, err)
				}
			}
		})

		t.Run("WhatIsNoAddressIsRefusedByField", func(t *testing.T) {
			long := strings.Repeat("长", 201)
			for field, change := range map[string]func(*engine.Address){
				"name":   func(a *engine.Address) { a.Name = "" },
				"phone":  func(a *engine.Address) { a.Phone = "call me" },
				"region": func(a *engine.Address) { a.Region = long },
				"street": func(a *engine.Address) { a.Street = "a\x00b" },
			} {
				bad := home
				change(&bad)
				err := h.PutAddress(h.ctx(), id, b.Code, 3, bad)
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), field+":") || strings.Contains(err.Error(), "8000") {
					t.Errorf("%s: %v", field, err)
				}
			}
			for _, phone := range []string{"12345", "1234567890123456", "+", "1+2345678", strings.Repeat("1 ", 30)} {
				bad := home
				bad.Phone = phone
				if err := h.PutAddress(h.ctx(), id, b.Code, 3, bad); fault.KindOf(err) != fault.Invalid {
					t.Errorf("%q: %v", phone, err)
				}
			}
		})
	})
}
