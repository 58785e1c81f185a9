package event_test

import (
	"bytes"
	"reflect"
	"testing"

	"kfactor/event"
)

func applied() event.Event {
	data, detail := `{"a":1}`, `{"reason":"x"}`
	return event.Event{
		Campaign: 1, ID: "id", Type: "scan", Person: 2, Code: "CODE", Time: 10, ReceivedAt: 11, Data: &data,
		Seq: 7, Owner: 4, Outcome: event.Counted, Detail: &detail,
	}
}

func TestChain(t *testing.T) {
	t.Parallel()

	t.Run("EveryColumnThatMattersChangesTheHash", func(t *testing.T) {
		e := applied()
		before := event.Chain([]byte("head"), &e)
		notChained := map[string]bool{"Hash": true}
		for i := range reflect.TypeOf(e).NumField() {
			changed := applied()
			name := reflect.TypeOf(e).Field(i).Name
			switch f := reflect.ValueOf(&changed).Elem().Field(i); f.Kind() {
			case reflect.Int64:
				f.SetInt(f.Int() + 1)
			case reflect.String:
				f.SetString(f.String() + "x")
			case reflect.Bool:
				f.SetBool(!f.Bool())
			case reflect.Slice:
				f.SetBytes([]byte("x"))
			case reflect.Pointer:
				if f.Type().Elem().Kind() == reflect.String {
					f.Elem().SetString(f.Elem().String() + "x")
				} else {
					f.Elem().SetInt(f.Elem().Int() + 1)
				}
			default:
				t.Fatalf("no way to change %s", name)
			}
			if same := bytes.Equal(before, event.Chain([]byte("head"), &changed)); same != notChained[name] {
				t.Errorf("%s changed, and the hash is the same: %v", name, same)
			}
		}
	})

	t.Run("TheHashBeforeIsPartOfIt", func(t *testing.T) {
		e := applied()
		if bytes.Equal(event.Chain(nil, &e), event.Chain([]byte{0}, &e)) {
			t.Error("two histories, one hash")
		}
	})

	t.Run("NothingAndAnEmptyTextDiffer", func(t *testing.T) {
		e, none, empty := applied(), applied(), ""
		e.Data, none.Data = &empty, nil
		if bytes.Equal(event.Chain(nil, &e), event.Chain(nil, &none)) {
			t.Error("no data and empty data have one hash")
		}
	})

	t.Run("TextDoesNotMoveBetweenColumnsUnseen", func(t *testing.T) {
		a, b := applied(), applied()
		a.ID, a.Type = "ab", "c"
		b.ID, b.Type = "a", "bc"
		if bytes.Equal(event.Chain(nil, &a), event.Chain(nil, &b)) {
			t.Error("two events, one hash")
		}
	})
}
