package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/event"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

// all runs one function many times at once and fails with what any of them says.
func all(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = fn(i) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// events walks the whole journal in pages of so many.
func (h *house) events(campaign string, system bool, page int) []engine.EventView {
	h.t.Helper()
	var out []engine.EventView
	for cursor := ""; ; {
		list, err := h.Events(h.ctx(), campaign, system, engine.Page{Limit: page, Cursor: cursor}, true)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(list.Items) > page {
			h.t.Fatalf("a page of %d holds %d", page, len(list.Items))
		}
		out = append(out, list.Items...)
		if cursor = list.Next; cursor == "" {
			return out
		}
	}
}

// settled sweeps until everything is applied and checks that positions are gapless.
func (h *house) settled(campaign string) []engine.EventView {
	h.t.Helper()
	for range 100 {
		h.sweep()
		events := h.events(campaign, true, 1000)
		if slices.ContainsFunc(events, func(e engine.EventView) bool { return e.Seq == nil }) {
			continue
		}
		for i, e := range events {
			if *e.Seq != int64(i+1) {
				h.t.Fatalf("event %s has position %d, not %d", e.ID, *e.Seq, i+1)
			}
		}
		return events
	}
	h.t.Fatal("events stay unapplied")
	return nil
}

func TestJoin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))

		t.Run("FiftyAtOnceAreOneParticipantWithOneCode", func(t *testing.T) {
			other := open(t, db)
			codes := make([]string, 50)
			all(t, len(codes), func(i int) error {
				e := h.Engine
				if i%2 == 1 {
					e = other.Engine
				}
				v, _, err := e.Join(t.Context(), id, engine.Joining{User: "one", Nickname: "One"})
				codes[i] = v.Code
				return err
			})
			if slices.Sort(codes); codes[0] == "" || codes[0] != codes[49] {
				t.Errorf("codes %q", slices.Compact(codes))
			}
			if v, err := h.Campaign(t.Context(), id); err != nil || v.Participants != 1 {
				t.Errorf("%+v %v", v, err)
			}
		})

		t.Run("ManyAtOnceHaveACodeEach", func(t *testing.T) {
			seen := map[string]bool{}
			var mu sync.Mutex
			all(t, 60, func(i int) error {
				v, created, err := h.Join(t.Context(), id, engine.Joining{User: fmt.Sprintf("user %d", i)})
				mu.Lock()
				defer mu.Unlock()
				if seen[v.Code] || err == nil && !created {
					t.Errorf("user %d: code %s again, or not new", i, v.Code)
				}
				seen[v.Code] = true
				return err
			})
			if v, err := h.Campaign(t.Context(), id); err != nil || v.Participants != 61 {
				t.Errorf("%+v %v", v, err)
			}
		})

		t.Run("AgainGivesTheSameCodeAndTheNewName", func(t *testing.T) {
			first, created, err := h.Join(t.Context(), id, engine.Joining{User: "小明", Nickname: "小明", AvatarURL: "https://a.example/1.png"})
			if err != nil || !created {
				t.Fatal(created, err)
			}
			again, created, err := h.Join(t.Context(), id, engine.Joining{User: "小明", Nickname: "大明", InvitedBy: first.Code})
			if err != nil || created || again.Code != first.Code || again.Nickname != "大明" {
				t.Errorf("%+v, new %v, %v", again, created, err)
			}
		})

		t.Run("WhatCannotBeIsNamedByField", func(t *testing.T) {
			for field, j := range map[string]engine.Joining{
				"user":       {User: strings.Repeat("長", 129)},
				"nickname":   {User: "u", Nickname: strings.Repeat("n", 10_000)},
				"avatar_url": {User: "u", AvatarURL: "javascript:alert(1)"},
				"invited_by": {User: "u", InvitedBy: "not a code"},
			} {
				_, _, err := h.Join(t.Context(), id, j)
				var bad *fault.Error
				if !errors.As(err, &bad) || bad.Kind != fault.Invalid || len(bad.Fields) != 1 || bad.Fields[0].Field != field {
					t.Errorf("%s: %v", field, err)
				}
			}
			if _, _, err := h.Join(t.Context(), "nowhere", engine.Joining{User: "u"}); fault.KindOf(err) != fault.NotFound {
				t.Error(err)
			}
		})
		h.settled(id)
	})
}

func TestAcceptFromEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h, other := open(t, db), open(t, db)
		id := h.launch(definition(spring))
		codes := []string{h.join(id, "A").Code, h.join(id, "B").Code, h.join(id, "C").Code}

		const fans = 240
		var mu sync.Mutex
		var total engine.Receipt
		all(t, 24, func(i int) error {
			house := h
			if i%2 == 1 {
				house = other
			}
			// Every call brings the follows of 60 fans in its own order; over all calls each fan follows six times.
			var batch []engine.Incoming
			for j := range 60 {
				fan := (i*60 + j*7) % fans
				batch = append(batch, engine.Incoming{ID: fmt.Sprintf("f%d", fan), Campaign: id, Type: "subscribe", User: fmt.Sprintf("fan %d", fan), Code: codes[fan%3]})
			}
			r, err := house.Accept(t.Context(), batch)
			if err != nil {
				return err
			}
			mu.Lock()
			total.Accepted += r.Accepted
			total.Duplicates += r.Duplicates
			mu.Unlock()
			return house.SweepOnce(t.Context())
		})
		events := h.settled(id)
		seen := map[string]bool{}
		for _, e := range events {
			if e.Type == "subscribe" {
				seen[e.ID] = true
				if e.Outcome != "credited" {
					t.Errorf("%s is %s: %s", e.ID, e.Outcome, e.Detail)
				}
			}
		}
		if total.Accepted != len(seen) || total.Accepted+total.Duplicates != 24*60 {
			t.Errorf("%+v for %d events", total, len(seen))
		}
		sum := 0
		for _, c := range codes {
			sum += h.count(id, c, "invite")
		}
		if sum != len(seen) {
			t.Errorf("%d friends of %d events", sum, len(seen))
		}
		f, err := h.Funnel(t.Context(), id, engine.FunnelQuery{})
		if err != nil || f.Stages[2].Events != int64(len(seen)) || f.Stages[2].Users != int64(len(seen)) {
			t.Errorf("%+v %v", f, err)
		}
		h.balanced()

		again := open(t, db) // as after a restart
		want(t, again.post(id,
			what{id: "again-1", kind: "unsubscribe", user: "fan 0"}, what{id: "again-2", kind: "subscribe", user: "fan 0"},
			what{id: "again-3", kind: "subscribe", user: "new fan", code: codes[0]},
		), "reversed", "restored", "credited")
		again.settled(id)
	})
}

// slip puts an event into the journal that intake would not take.
func slip(t *testing.T, db *gorm.DB, e event.Event) {
	t.Helper()
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE tails SET seq = seq + 1 WHERE campaign = ?", e.Campaign).Error; err != nil {
			return err
		}
		return tx.Exec("INSERT INTO events (campaign, seq, system, id, type, person, code, time, received_at, data)"+
			" SELECT campaign, seq, ?, ?, ?, ?, ?, ?, ?, ? FROM tails WHERE campaign = ?",
			e.System, e.ID, e.Type, e.Person, e.Code, e.Time, e.ReceivedAt, e.Data, e.Campaign).Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPoisonousEvent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))
		a := h.join(id, "A")
		accept := func(from, to int) {
			for i := from; i < to; i++ {
				in := engine.Incoming{ID: fmt.Sprint(i), Campaign: id, Type: "subscribe", User: fmt.Sprint("fan ", i), Code: a.Code}
				if r, err := h.Accept(t.Context(), []engine.Incoming{in}); err != nil || r.Accepted != 1 {
					t.Fatal(r, err)
				}
			}
		}
		accept(0, 5)
		now, broken := h.clock.Now().UnixMilli(), "{not json"
		slip(t, db, event.Event{Campaign: 1, ID: "poison", Type: "subscribe", Person: 1, Time: now, ReceivedAt: now, Data: &broken})
		accept(5, 10)
		for _, e := range h.settled(id) {
			switch {
			case e.System:
			case e.ID == "poison" && (e.Outcome != "failed" || e.Detail == ""):
				t.Errorf("%+v", e)
			case e.ID != "poison" && e.Outcome != "credited":
				t.Errorf("%s is %s", e.ID, e.Outcome)
			}
		}
		if n := h.count(id, a.Code, "invite"); n != 10 {
			t.Errorf("%d friends", n)
		}
		h.balanced()
	})
}

func TestRejections(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))
		future := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
		soon, late := h.clock.Now().Add(4*time.Minute), h.clock.Now().Add(6*time.Minute)
		old := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
		good := engine.Incoming{ID: "good", Campaign: id, Type: "scan", User: "u"}
		for _, c := range []struct {
			name   string
			change func(*engine.Incoming)
			says   string // what the message names; "" for taken
		}{
			{"AnEventOfOrdinarySize", func(*engine.Incoming) {}, ""},
			{"NineKilobytes", func(in *engine.Incoming) { in.Data = json.RawMessage(`{"a": "` + strings.Repeat("x", 9<<10) + `"}`) }, "data has"},
			{"FourKilobytes", func(in *engine.Incoming) { in.Data = json.RawMessage(`{"a": "` + strings.Repeat("x", 4<<10-9) + `"}`) }, ""},
			{"OneByteMore", func(in *engine.Incoming) { in.Data = json.RawMessage(`{"a": "` + strings.Repeat("x", 4<<10-8) + `"}`) }, "4097"},
			{"TheYear2099", func(in *engine.Incoming) { in.Time = &future }, "future"},
			{"SixMinutesAhead", func(in *engine.Incoming) { in.Time = &late }, "future"},
			{"FourMinutesAhead", func(in *engine.Incoming) { in.Time = &soon }, ""},
			{"TheYear1970", func(in *engine.Incoming) { in.Time = &old }, "2000"},
			{"NoID", func(in *engine.Incoming) { in.ID = "" }, "id must"},
			{"AnIDOf129", func(in *engine.Incoming) { in.ID = strings.Repeat("i", 129) }, "id must"},
			{"AnIDOf128Characters", func(in *engine.Incoming) { in.ID = strings.Repeat("號", 128) }, ""},
			{"NoUser", func(in *engine.Incoming) { in.User = "" }, "user must"},
			{"AUserOf10000", func(in *engine.Incoming) { in.User = strings.Repeat("u", 10_000) }, "user must"},
			{"AUserOf128Emoji", func(in *engine.Incoming) { in.User = strings.Repeat("😀", 128) }, ""},
			{"ControlCharacters", func(in *engine.Incoming) { in.User = "a\x00b" }, "user must"},
			{"ANewLineInAnID", func(in *engine.Incoming) { in.ID = "a\nb" }, "id must"},
			{"BrokenUTF8InAnID", func(in *engine.Incoming) { in.ID = "a\xffb" }, "id must"},
			{"ACodeOf65", func(in *engine.Incoming) { in.Code = strings.Repeat("c", 65) }, "code must"},
			{"ATypeNobodyListensTo", func(in *engine.Incoming) { in.Type = "dance" }, `"dance"`},
			{"ATypeWithCapitals", func(in *engine.Incoming) { in.Type = "Scan" }, "lower-case"},
			{"AnEventOfTheEngine", func(in *engine.Incoming) { in.Type = "campaign.launched" }, "lower-case"},
			{"AnUnknownCampaign", func(in *engine.Incoming) { in.Campaign = "nowhere" }, "nowhere"},
			{"NoCampaign", func(in *engine.Incoming) { in.Campaign = "" }, "campaign is missing"},
			{"DataThatIsAList", func(in *engine.Incoming) { in.Data = json.RawMessage(`[1]`) }, "JSON object"},
			{"DataThatIsAText", func(in *engine.Incoming) { in.Data = json.RawMessage(`"a"`) }, "JSON object"},
			{"DataThatIsNothing", func(in *engine.Incoming) { in.Data = json.RawMessage(`null`) }, ""},
			{"DataThatIsNoJSON", func(in *engine.Incoming) { in.Data = json.RawMessage(`{"a"`) }, "JSON object"},
			{"BrokenUTF8InData", func(in *engine.Incoming) { in.Data = json.RawMessage("{\"a\": \"\xff\"}") }, "UTF-8"},
			{"EmojiInData", func(in *engine.Incoming) { in.Data = json.RawMessage(`{"a": "😀\u0000\ud800"}`) }, ""},
			{"ASourceWithANul", func(in *engine.Incoming) { in.Data = json.RawMessage(`{"source": "a\u0000b"}`) }, ""},
			{"ALongSourceWithSpaces", func(in *engine.Incoming) {
				in.Data = json.RawMessage(`{"source": "` + strings.Repeat("源 ", 200) + `"}`)
			}, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				in := good
				in.ID = c.name
				c.change(&in)
				after := good
				after.ID = "after " + c.name
				r, err := h.Accept(t.Context(), []engine.Incoming{in, after})
				if err != nil {
					t.Fatal(err)
				}
				if c.says == "" {
					if r.Accepted != 2 {
						t.Errorf("%+v", r)
					}
					return
				}
				if r.Accepted != 1 || len(r.Rejected) != 1 || r.Rejected[0].Index != 0 || !strings.Contains(r.Rejected[0].Error, c.says) || len(r.Rejected[0].ID) > 600 {
					t.Errorf("%+v", r)
				}
			})
		}
		t.Run("AThousandAndOne", func(t *testing.T) {
			many := make([]engine.Incoming, 1001)
			if _, err := h.Accept(t.Context(), many); fault.KindOf(err) != fault.TooLarge {
				t.Error(err)
			}
		})
		t.Run("TheSameIDTwiceInOneCall", func(t *testing.T) {
			twice := good
			twice.ID = "twice"
			if r, err := h.Accept(t.Context(), []engine.Incoming{twice, twice}); err != nil || r.Accepted != 1 || r.Duplicates != 1 {
				t.Error(r, err)
			}
		})
		t.Run("IDsThatDifferInCaseOrSpaceAreDifferent", func(t *testing.T) {
			for _, name := range []string{"case", "Case", "case ", "cafe\u0301", "café"} {
				in := good
				in.ID = name
				if r, err := h.Accept(t.Context(), []engine.Incoming{in}); err != nil || r.Accepted != 1 {
					t.Errorf("%q: %+v %v", name, r, err)
				}
			}
		})
		for _, e := range h.settled(id) {
			if e.Outcome == "failed" {
				t.Errorf("%s failed: %s", e.ID, e.Detail)
			}
		}
	})
}

func TestManyHoldsFallDueAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition("", "revoke_on: unsubscribe", "hold: 1h"))
		a := h.join(id, "A")
		var batch []engine.Incoming
		for i := range 600 {
			batch = append(batch, engine.Incoming{ID: fmt.Sprintf("%0100d%s", i, strings.Repeat("號", 28)), Campaign: id, Type: "subscribe", User: fmt.Sprint(i), Code: a.Code})
		}
		if r, err := h.Accept(t.Context(), batch); err != nil || r.Accepted != 600 {
			t.Fatal(r, err)
		}
		h.settled(id)
		h.clock.Advance(2 * time.Hour)
		for _, e := range h.settled(id) {
			if e.Outcome == "failed" {
				t.Errorf("%s failed: %s", e.ID, e.Detail)
			}
		}
		if n := h.count(id, a.Code, "invite"); n != 600 {
			t.Errorf("%d friends", n)
		}
	})
}

func TestEventsPages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))
		a := h.join(id, "A")
		for i := range 23 {
			h.post(id, what{id: fmt.Sprintf("applied %d", i), kind: "subscribe", user: fmt.Sprint(i), code: a.Code})
		}
		for i := range 9 { // these stay pending
			in := engine.Incoming{ID: fmt.Sprintf("pending %d", i), Campaign: id, Type: "scan", User: "u"}
			if _, err := h.Accept(t.Context(), []engine.Incoming{in}); err != nil {
				t.Fatal(err)
			}
		}
		for _, system := range []bool{false, true} {
			whole := h.events(id, system, 1000)
			if n := 32; system && len(whole) <= n || !system && len(whole) != n {
				t.Errorf("system %v: %d events", system, len(whole))
			}
			for _, size := range []int{1, 2, 7, 23, 24, 25} {
				pages := h.events(id, system, size)
				if len(pages) != len(whole) {
					t.Fatalf("pages of %d hold %d events, not %d", size, len(pages), len(whole))
				}
				for i := range pages {
					if pages[i].ID != whole[i].ID {
						t.Fatalf("pages of %d: %s stands where %s should", size, pages[i].ID, whole[i].ID)
					}
				}
			}
		}
		for _, cursor := range []string{"!", "bm90aGluZw", "c2VxOng"} {
			if _, err := h.Events(t.Context(), id, false, engine.Page{Cursor: cursor}, true); fault.KindOf(err) != fault.Invalid {
				t.Errorf("cursor %s: %v", cursor, err)
			}
		}
		list, err := h.Events(t.Context(), id, true, engine.Page{}, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.User != "" || len(e.Data) > 0 {
				t.Errorf("%+v shows who it is", e)
			}
		}
	})
}

func TestALongLoopOfInviters(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))
		const length = 12
		codes := make([]string, length)
		for i := range codes {
			codes[i] = h.join(id, fmt.Sprint("user ", i)).Code
		}
		var chain []engine.Incoming
		for i := 1; i < length; i++ {
			chain = append(chain, engine.Incoming{ID: fmt.Sprint("link ", i), Campaign: id, Type: "subscribe", User: fmt.Sprint("user ", i), Code: codes[i-1]})
		}
		if _, err := h.Accept(t.Context(), chain); err != nil {
			t.Fatal(err)
		}
		h.settled(id)
		// The first comes through the last: whether it closes a loop, only those between can tell, and a batch that
		// names neither of them finds them.
		loop := []engine.Incoming{
			{ID: "before", Campaign: id, Type: "subscribe", User: "somebody", Code: codes[0]},
			{ID: "loop", Campaign: id, Type: "subscribe", User: "user 0", Code: codes[length-1]},
			{ID: "after", Campaign: id, Type: "subscribe", User: "somebody else", Code: codes[length-1]},
		}
		if _, err := h.Accept(t.Context(), loop); err != nil {
			t.Fatal(err)
		}
		h.settled(id)
		want(t, []string{h.outcome(id, "before"), h.outcome(id, "loop"), h.outcome(id, "after")}, "credited", "self_invite", "credited")
		if n := h.count(id, codes[0], "invite"); n != 2 {
			t.Errorf("the first has %d friends", n)
		}
		h.balanced()
	})
}

func TestTheScheduleEndsIt(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h, other := open(t, db), open(t, db)
		id := h.launch(definition(spring))
		a := h.join(id, "A")
		h.clock.Advance(365 * 24 * time.Hour)
		other.clock.Advance(365 * 24 * time.Hour)
		all(t, 6, func(i int) error { return []*house{h, other}[i%2].SweepOnce(t.Context()) })
		if v, err := h.Campaign(t.Context(), id); err != nil || v.Status != "ended" {
			t.Errorf("%+v %v", v, err)
		}
		passed := 0
		for _, e := range h.settled(id) {
			if e.Type == "time.passed" {
				passed++
			}
		}
		if passed != 1 {
			t.Errorf("it ended %d times", passed)
		}
		want(t, h.post(id, what{kind: "subscribe", user: "x", code: a.Code}), "campaign_not_live")
		if _, err := h.Turn(t.Context(), id, "resume", "t"); fault.KindOf(err) != fault.Conflict {
			t.Error(err)
		}
	})
}

func TestNewEventIDsComeInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	before := engine.NewEventID("scan")
	for range 1000 {
		id := engine.NewEventID("scan")
		if id <= before || len(id) > event.MaxID || !strings.HasPrefix(id, "scan-") {
			t.Fatalf("%s comes after %s", id, before)
		}
		before = id
	}
}
