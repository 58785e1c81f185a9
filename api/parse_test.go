package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"kfactor/engine"
	"kfactor/internal/fault"
)

func TestParseEvents(t *testing.T) {
	t.Parallel()
	good := `{"id":"a","campaign":"c","type":"scan","user":"u","code":"7K2M9QX4TB","time":"2026-03-02T10:00:00+08:00","data":{"amount":1}}`

	t.Run("OneEventIsRead", func(t *testing.T) {
		t.Parallel()
		b, err := parseEvents("application/json", []byte(good))
		if err != nil || len(b.events) != 1 || len(b.rejected) != 0 {
			t.Fatalf("got %+v, %v", b, err)
		}
		ev := b.events[0]
		at := time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC)
		if ev.ID != "a" || ev.Campaign != "c" || ev.Type != "scan" || ev.User != "u" || ev.Code != "7K2M9QX4TB" ||
			ev.Time == nil || !ev.Time.Equal(at) || string(ev.Data) != `{"amount":1}` {
			t.Fatalf("got %+v", ev)
		}
	})

	t.Run("AnAbsentTimeIsLeftToTheEngine", func(t *testing.T) {
		t.Parallel()
		for _, said := range []string{`{"id":"a"}`, `{"id":"a","time":null}`} {
			b, err := parseEvents("application/json", []byte(said))
			if err != nil || b.events[0].Time != nil {
				t.Fatalf("%s: got %+v, %v", said, b, err)
			}
		}
	})

	mixed := []string{good, `{"id":"bad-1","usr":"x"}`, good, `17`, `{"id":5}`, `null`, `{"id":"bad-2","time":"yesterday"}`}
	for _, form := range []string{"application/json", ndjson, jsonLines} {
		t.Run("AMalformedEventDoesNotSpoilTheOthers/"+form, func(t *testing.T) {
			t.Parallel()
			body := `{"events":[` + strings.Join(mixed, ",") + `]}`
			if form != "application/json" {
				body = "\n" + strings.Join(mixed, "\r\n\n") + "\n"
			}
			b, err := parseEvents(form, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			told := b.told(engine.Receipt{Accepted: 1, Rejected: []engine.Rejection{{Index: 1, ID: "a", Error: "no"}}})
			want := []struct {
				index int
				id    string
				says  string
			}{
				{1, "bad-1", "usr is not known here; known are campaign, code, data, id, time, type, user"},
				{2, "a", "no"},
				{3, "", "not a JSON object"},
				{4, "", "id must be a string"},
				{5, "", "not a JSON object"},
				{6, "bad-2", "time must be a time such as"},
			}
			if len(told.Rejected) != len(want) {
				t.Fatalf("got %+v", told.Rejected)
			}
			for i, w := range want {
				got := told.Rejected[i]
				if got.Index != w.index || got.ID != w.id || !strings.Contains(got.Error, w.says) {
					t.Errorf("rejected[%d] = %+v, want %+v", i, got, w)
				}
			}
		})
	}

	t.Run("OneAmbiguousEventDoesNotSpoilTheOthers", func(t *testing.T) {
		t.Parallel()
		for _, bad := range []string{`{"id":"b","id":"c"}`, `{"id":"\ud800"}`, `{"id":"b","data":{"a":1,"a":1}}`} {
			for form, body := range map[string]string{"application/json": `{"events":[` + good + "," + bad + `]}`, ndjson: good + "\n" + bad} {
				b, err := parseEvents(form, []byte(body))
				if err != nil || len(b.events) != 1 || len(b.rejected) != 1 || b.rejected[0].Index != 1 {
					t.Errorf("%s: got %+v, %v", body, b, err)
				}
			}
		}
	})

	t.Run("WholeCharactersAreTakenHoweverTheyAreWritten", func(t *testing.T) {
		t.Parallel()
		for said, id := range map[string]string{`\ud83c\udf89`: "🎉", `\\ud800`: `\ud800`, `a\"\u0041`: `a"A`, `é`: "é"} {
			b, err := parseEvents("application/json", []byte(`{"id":"`+said+`","data":{"a":{"b":1},"b":{"b":[{"b":1},{"b":2}]},"c":"{,\"a\":"}}`))
			if err != nil || b.events[0].ID != id {
				t.Errorf("%s: got %+v, %v", said, b, err)
			}
		}
	})

	t.Run("AByteOrderMarkIsNoMatter", func(t *testing.T) {
		t.Parallel()
		for _, form := range []string{"application/json", ndjson} {
			if b, err := parseEvents(form, []byte("\uFEFF"+good)); err != nil || len(b.events) != 1 {
				t.Errorf("%s: got %+v, %v", form, b, err)
			}
		}
	})

	t.Run("ManyNamesAreToldApart", func(t *testing.T) {
		t.Parallel()
		var data strings.Builder
		for i := range 200 {
			fmt.Fprintf(&data, `"n%d":1,`, i)
		}
		if b, err := parseEvents("application/json", []byte(`{"id":"a","data":{`+data.String()+`"n":1}}`)); err != nil || len(b.events) != 1 {
			t.Fatalf("got %+v, %v", b, err)
		}
		if _, err := parseEvents("application/json", []byte(`{"id":"a","data":{`+data.String()+`"n120":1}}`)); !strings.Contains(fmt.Sprint(err), "n120: is given twice") {
			t.Fatalf("got %v", err)
		}
	})

	t.Run("ABrokenLineDoesNotSpoilTheOthers", func(t *testing.T) {
		t.Parallel()
		b, err := parseEvents(ndjson, []byte(good+"\n{\"id\":\n"+good))
		if err != nil || len(b.events) != 2 || len(b.rejected) != 1 || b.rejected[0].Index != 1 {
			t.Fatalf("got %+v, %v", b, err)
		}
	})

	refused := map[string]struct {
		form, body, says string
		kind             fault.Kind
		fields           int
	}{
		"Nothing":             {"application/json", "  ", "empty", fault.Invalid, 0},
		"NoLines":             {ndjson, "\n\n", "empty", fault.Invalid, 0},
		"AnArray":             {"application/json", "[" + good + "]", `{"events": [...]}`, fault.Invalid, 0},
		"ANumber":             {"application/json", "1", `{"events": [...]}`, fault.Invalid, 0},
		"BrokenJSON":          {"application/json", "{\"id\":\n \"a\",}", "line 2", fault.Invalid, 0},
		"JSONThatEnds":        {"application/json", `{"events":[` + good, "ends too early", fault.Invalid, 0},
		"TwoDocuments":        {"application/json", good + "\n" + good, ndjson, fault.Invalid, 0},
		"OtherThanUTF8":       {"application/json", "{\"id\":\"\xff\"}", "UTF-8", fault.Invalid, 0},
		"ADeepOne":            {"application/json", `{"data":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "deeper", fault.Invalid, 0},
		"UnknownNames":        {"application/json", `{"id":"a","usr":"b","tipe":"c"}`, "does not fit", fault.Invalid, 2},
		"WrongTypes":          {"application/json", `{"id":1}`, "does not fit", fault.Invalid, 1},
		"EventsAndMore":       {"application/json", `{"events":[],"id":"a"}`, "does not fit", fault.Invalid, 1},
		"EventsTwice":         {"application/json", `{"events":[],"events":[]}`, "does not fit", fault.Invalid, 1},
		"TheSameNameTwice":    {"application/json", `{"id":"a","\u0069d":"b"}`, "does not fit", fault.Invalid, 1},
		"ANameTwiceInData":    {"application/json", `{"id":"a","data":{"x":[{"y":1,"y":2}]}}`, "does not fit", fault.Invalid, 1},
		"HalfACharacter":      {"application/json", `{"id":"a\ud800"}`, `\ud800, which is half of a character`, fault.Invalid, 0},
		"HalvesTheWrongWay":   {"application/json", `{"id":"\uDC00\ud800"}`, `\uDC00, which`, fault.Invalid, 0},
		"HalfAName":           {"application/json", `{"id":"a","data":{"\ud83d":1}}`, `\ud83d, which`, fault.Invalid, 0},
		"EventsThatIsNoList":  {"application/json", `{"events":{}}`, "does not fit", fault.Invalid, 1},
		"MoreThanAThousand":   {"application/json", `{"events":[` + strings.Repeat("1,", 1000) + "1]}", "more than 1000", fault.TooLarge, 0},
		"AThousandLinesAndOn": {ndjson, strings.Repeat("1\n", 1001), "more than 1000", fault.TooLarge, 0},
	}
	for name, c := range refused {
		t.Run(name+"IsRefused", func(t *testing.T) {
			t.Parallel()
			_, err := parseEvents(c.form, []byte(c.body))
			said, ok := errors.AsType[*fault.Error](err)
			if !ok || said.Kind != c.kind || !strings.Contains(said.Message, c.says) || len(said.Fields) != c.fields {
				t.Fatalf("got %#v", err)
			}
		})
	}
}

// FuzzParseEvents holds that no body panics, and that what is read adds up to what was sent.
func FuzzParseEvents(f *testing.F) {
	f.Add(false, []byte(`{"id":"a","campaign":"c","type":"scan","user":"u","time":"2026-03-02T10:00:00+08:00","data":{"a":[1]}}`))
	f.Add(false, []byte(`{"events":[{"id":"a"},{"id":1},null,[],"x"]}`))
	f.Add(false, []byte(`{"events":[`))
	f.Add(true, []byte("{\"id\":\"a\"}\n\n{\"id\":\n"))
	f.Add(false, []byte(`{"id":"\ud800","data":{"a":"\\\""}}`))
	f.Add(false, []byte(`{"id":"a","id":"b","data":{"\ud83c\udf89":1,"":[{"a":{}},2]}}`))
	f.Fuzz(func(t *testing.T, lines bool, raw []byte) {
		form := "application/json"
		if lines {
			form = ndjson
		}
		b, err := parseEvents(form, raw)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge {
				t.Fatalf("an error nobody named: %v", err)
			}
			return
		}
		if !lines && !json.Valid(raw) {
			t.Fatal("a body that is not JSON was read")
		}
		n := len(b.events) + len(b.rejected)
		if n > mostEvents || len(b.places) != len(b.events) {
			t.Fatalf("%d events, %d rejected, %d places", len(b.events), len(b.rejected), len(b.places))
		}
		seen := map[int]bool{}
		for _, at := range b.places {
			seen[at] = true
		}
		for _, r := range b.rejected {
			seen[r.Index] = true
		}
		if len(seen) != n {
			t.Fatal("two elements of the body have the same place")
		}
		for _, ev := range b.events {
			if !utf8.ValidString(ev.ID) || !utf8.ValidString(ev.User) {
				t.Fatalf("other than text was read: %q, %q", ev.ID, ev.User)
			}
			if len(ev.Data) > 0 && !json.Valid(ev.Data) {
				t.Fatalf("data is not JSON: %q", ev.Data)
			}
		}
		if again, err := parseEvents(form, bytes.Clone(raw)); err != nil || len(again.events) != len(b.events) {
			t.Fatal("the same body was read in another way")
		}
	})
}

func TestSlice(t *testing.T) {
	t.Parallel()
	all := []int{1, 2, 3, 4, 5}
	t.Run("PagesAddUpToTheWhole", func(t *testing.T) {
		t.Parallel()
		var got []int
		page := engine.Page{Limit: 2}
		for {
			list, err := slice(all, page)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, list.Items...)
			if page.Cursor = list.Next; page.Cursor == "" {
				break
			}
		}
		if len(got) != len(all) || got[4] != 5 {
			t.Fatalf("got %v", got)
		}
	})
	t.Run("AnInventedCursorIsRefused", func(t *testing.T) {
		t.Parallel()
		for _, cursor := range []string{"x", "from-", "from--1", "from-x", "2"} {
			if _, err := slice(all, engine.Page{Limit: 2, Cursor: cursor}); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: got %v", cursor, err)
			}
		}
	})
}

// FuzzParseTies holds that no body panics, and that what is read adds up to what was sent.
func FuzzParseTies(f *testing.F) {
	f.Add([]byte(`{"members":[{"member":"1","openid":"o"},{"member":"2","unionid":"u","replace":true},{"member":3},null,[],"x"]}`))
	f.Add([]byte(`{"members":[],"members":[]}`))
	f.Add([]byte(`{"members":[{"member":"1","member":"2"}]} {`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseTies(raw)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Fatalf("nobody named %v", err)
			}
			return
		}
		var body struct {
			Members []json.RawMessage `json:"members"`
		}
		if err := json.Unmarshal(withoutMark(raw), &body); err != nil {
			t.Fatalf("it was read, and is no JSON: %v", err)
		}
		if n := len(b.ties) + len(b.rejected); n != len(body.Members) || len(b.places) != len(b.ties) {
			t.Fatalf("%d of %d were read", n, len(body.Members))
		}
	})
}
