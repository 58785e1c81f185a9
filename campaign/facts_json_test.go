package campaign_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kfactor/campaign"
)

func tally[N int | int64](m map[string]N) campaign.Tally[N] {
	var t campaign.Tally[N]
	for name, n := range m {
		t.Set(name, n)
	}
	return t
}

func someFacts(t *rapid.T) campaign.Facts {
	word := rapid.OneOf(rapid.SampledFrom([]string{"invite", "unsubscribe", "2026-03-02/invite", "2026-03-02T10"}), rapid.String())
	number := rapid.OneOf(rapid.Int64Range(0, 2_000_000_000_000), rapid.Int64())
	small := rapid.IntRange(-3, 100)
	maybe := func(name string) bool { return rapid.Bool().Draw(t, "has "+name) }
	var f campaign.Facts
	if maybe("variant") {
		f.Variant = word.Draw(t, "variant")
	}
	f.Blocked, f.Welcomed = maybe("blocked"), maybe("welcomed")
	if maybe("touches") {
		f.Touches = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) campaign.Touch {
			return campaign.Touch{Owner: number.Draw(t, "owner"), At: number.Draw(t, "at")}
		}), 1, 4).Draw(t, "touches")
		f.FirstTouch, f.FirstFollow = number.Draw(t, "first touch"), number.Draw(t, "first follow")
	}
	if maybe("counts") {
		f.Left = tally(rapid.MapOfN(word, number, 1, 3).Draw(t, "left"))
		f.Counts, f.Held = tally(rapid.MapOfN(word, small, 1, 3).Draw(t, "counts")), tally(rapid.MapOfN(word, small, 1, 3).Draw(t, "held"))
		f.Issued, f.Used = tally(rapid.MapOfN(word, small, 1, 3).Draw(t, "issued")), tally(rapid.MapOfN(word, small, 1, 12).Draw(t, "used"))
		f.Came = tally(rapid.MapOfN(word, number, 1, 3).Draw(t, "came"))
	}
	if maybe("reached") {
		f.Reached = rapid.SliceOfN(word, 1, 3).Draw(t, "reached")
	}
	f.Invited, f.Seen = small.Draw(t, "invited"), rapid.Uint64().Draw(t, "seen")
	if maybe("orphans") {
		f.Orphans = []campaign.Orphan{{Task: word.Draw(t, "task"), At: number.Draw(t, "at"), Event: word.Draw(t, "event"), Known: maybe("known")}}
	}
	return f
}

func TestFactsAreWrittenAndReadAsTheGeneralWayDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := someFacts(t)
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		text := f.AppendJSON([]byte("before"))
		if diff := cmp.Diff("before"+string(want), string(text)); diff != "" {
			t.Fatal(diff)
		}
		var general campaign.Facts
		if err := json.Unmarshal(want, &general); err != nil {
			t.Fatal(err)
		}
		read := campaign.Facts{Variant: "of somebody else", Left: campaign.Tally[int64]{{"x", 1}}}
		if err := read.ReadJSON(want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(general, read); diff != "" {
			t.Fatalf("from %s:\n%s", want, diff)
		}
	})
}

func FuzzReadFacts(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"variant":"b","touches":[{"o":1,"t":2},{"o":3,"t":4}],"left":{"unsubscribe":5},"counts":{"invite":0}}`,
		`{"touches":[]}`, `{"counts":{"a":1,"a":2}}`, `{"seen":18446744073709551615}`, `{"invited":01}`, `{"blocked":false}`,
		`{"Variant":"c"}`, `{"variant":null}`, "{} ", `{"orphans":[{"task":"a","t":1,"event":"e"}]}`, `{"counts":{"a":1}`, `[`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want, got campaign.Facts
		general, own := json.Unmarshal(text, &want), got.ReadJSON(text)
		if (general == nil) != (own == nil) {
			t.Fatalf("the general way says %v, this one %v", general, own)
		}
		if diff := cmp.Diff(want, got); general == nil && diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkFacts(b *testing.B) {
	facts := campaign.Facts{
		Variant: "b", Touches: []campaign.Touch{{Owner: 81_203, At: 1_772_416_802_000}}, FirstFollow: 1_772_416_862_000,
		Left: campaign.Tally[int64]{{"unsubscribe", 1_772_416_902_000}}, Counts: campaign.Tally[int]{{"bind", 1}, {"invite", 7}},
		Held: campaign.Tally[int]{{"invite", 2}}, Reached: []string{"bronze"}, Invited: 12, Seen: 31,
		Used: campaign.Tally[int]{{"2026-03-01/invite", 3}, {"2026-03-02/invite", 4}, {"2026-03-02T10", 2}},
	}
	text := facts.AppendJSON(nil)
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var f campaign.Facts
			if err := f.ReadJSON(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read the general way", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var f campaign.Facts
			if err := json.Unmarshal(text, &f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text = facts.AppendJSON(text[:0])
		}
	})
	b.Run("write the general way", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(facts); err != nil {
				b.Fatal(err)
			}
		}
	})
}
