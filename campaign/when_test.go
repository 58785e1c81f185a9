package campaign_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"kfactor/campaign"
)

// task is the first task of the small example with a condition.
func task(t *testing.T, when string) (*campaign.Task, []campaign.Problem) {
	t.Helper()
	source := strings.Replace(string(read(t, "spring.yaml")), "on: subscribe", "on: subscribe\n    when: '"+strings.ReplaceAll(when, "'", "''")+"'", 1)
	d, _, problems := campaign.Parse([]byte(source), "when.yaml")
	return &d.Tasks[0], problems
}

func TestMatches(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 17, 30, 0, 0, time.UTC) // half past one, on Monday the second, in Shanghai

	for _, c := range []struct {
		when, data string
		want       bool
	}{
		{`data.amount >= 9900`, `{"amount": 9900}`, true},
		{`data.amount >= 9900`, `{"amount": 9899}`, false},
		{`data.amount >= 9900`, `{"amount": 9900.5}`, true},
		{`data.amount == 9007199254740993`, `{"amount": 9007199254740993}`, true},
		{`data.amount == 9007199254740992`, `{"amount": 9007199254740993}`, false},
		{`data.amount >= 9900 and data.currency == "CNY"`, `{"amount": 10000, "currency": "CNY"}`, true},
		{`data.store in ["a", "b"]`, `{"store": "b"}`, true},
		{`data.order.lines[0].sku == "X"`, `{"order": {"lines": [{"sku": "X"}]}}`, true},
		{`any(data.tags, # == "vip")`, `{"tags": ["new", "vip"]}`, true},
		{`count(data.lines, .price > 10) >= 2`, `{"lines": [{"price": 11}, {"price": 12}, {"price": 1}]}`, true},
		{`data.coupon == nil`, `{}`, true},
		{`(data.amount ?? 0) < 100`, ``, true},
		{`type == "subscribe"`, ``, true},
		{`data.name matches "^k.*r$"`, `{"name": "kfactor"}`, true},
		{`lower(data.name) startsWith "kf"`, `{"name": "KFactor"}`, true},
		{`time.Hour() == 1 and time.Day() == 2`, ``, true},
		{`int(data.amount) > 5`, `{"amount": "6"}`, true},
	} {
		t.Run(c.when, func(t *testing.T) {
			t.Parallel()
			task, problems := task(t, c.when)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got, err := task.Matches([]byte(c.data), "subscribe", at); got != c.want || err != nil {
				t.Errorf("%s gives %v, %v", c.data, got, err)
			}
		})
	}

	t.Run("WhatCannotBeDecidedDoesNotHoldAndSaysWhy", func(t *testing.T) {
		t.Parallel()
		for _, c := range []struct{ when, data string }{
			{`data.amount >= 9900`, ``},
			{`data.amount >= 9900`, `{}`},
			{`data.amount >= 9900`, `{"amount": "9900"}`},
			{`data.amount >= 9900`, `{"amount": null}`},
			{`data.amount >= 9900`, `{"amount": [1]}`},
			{`not (data.amount >= 9900)`, `{}`},
			{`data.amount >= 9900`, `[9900]`},
			{`data.amount >= 9900`, `{"amount": 9900`},
			{`data.order.lines[3].sku == "X"`, `{"order": {"lines": []}}`},
			{`data.order.sku == "X"`, `{}`},
			{`data.vip`, `{"vip": "yes"}`},
			{`data.a / data.b > 1 and data.a % data.b == 1`, `{"a": 1, "b": 0}`},
			{`len(1..1000000) > 1`, ``},
			{`int(data.amount) > 5`, `{"amount": "six"}`},
		} {
			task, problems := task(t, c.when)
			if len(problems) > 0 {
				t.Fatal(c.when, problems)
			}
			if got, err := task.Matches([]byte(c.data), "subscribe", at); got || err == nil {
				t.Errorf("%s with %q gives %v, %v", c.when, c.data, got, err)
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("the reason is more than a line: %v", err)
			}
		}
	})

	t.Run("TheReasonIsInPlainWords", func(t *testing.T) {
		t.Parallel()
		for _, c := range []struct{ when, data, want string }{
			{`1 % data.z == 0`, `{"z": 0}`, "it divides by zero"},
			{`int(data.a) > 1`, `{"a": [1]}`, "something that is no number stands where a number is needed"},
			{`int(data.a) > 1`, `{}`, "a value is missing"},
			{`data.a >= 1`, `{}`, "a value is missing beside >="},
			{`1 < data.a`, `{}`, "a value is missing beside <"},
			{`data.a >= 1`, `{"a": "x"}`, "text >= a whole number has no meaning"},
			{`data.a * 2 > 1`, `{"a": [1]}`, "a list * a whole number has no meaning"},
			{`data.a % 2 == 1`, `{"a": 1.5}`, "a number % a whole number has no meaning"},
			{`-data.a > 2`, `{"a": "x"}`, "a minus stands before text"},
			{`data.a`, `{"a": "yes"}`, "it gives text, which is neither true nor false"},
			{`not data.a`, `{"a": 3}`, "a whole number stands where true or false is needed"},
			{`lower(data.a) == "x"`, `{}`, "a value is missing where text is needed"},
			{`data.a matches "x"`, `{"a": true}`, "true or false stands where text is needed"},
			{`data.a.b == 1`, `{}`, "b is asked of a value that is missing"},
			{`data.a.b == 1`, `{"a": 3}`, "b is asked of a whole number"},
			{`data.a[3] == 1`, `{"a": []}`, "a list has fewer items than it asks for"},
			{`data[data.a] == 1`, `{"a": [1]}`, "a list stands where the name of a field is needed"},
			{`data.a[1:2] == 3`, `{"a": 3}`, "only a list or text has a part"},
			{`any(data.a, # == 1)`, `{"a": 3}`, "a whole number stands where a list is needed"},
			{`any(data.a, # == 1)`, `{}`, "a value is missing"},
			{`1 in data.a`, `{"a": 3}`, "in needs a list on its right, not a whole number"},
			{`len(data.a) > 1`, `{}`, "a value is missing for len"},
			{`abs(data.a) == 1`, `{"a": {}}`, "abs does not take an object"},
			{`len(1..data.a) > 1`, `{"a": 1000000}`, "it makes lists that are too long"},
			{`duration(data.a) > duration("1h")`, `{"a": "x"}`, "something that is no duration stands where one is needed; they are written like 90m"},
			{`date(data.a) > time`, `{"a": "x"}`, "something that is no date stands where one is needed; they are written like 2026-09-01"},
			{`data.a()`, `{"a": 3}`, "something is called that is no function"},
			{`time > data.a`, `{"a": 3}`, "a time > a whole number has no meaning"},
			{`time.In(data.a) == time`, `{}`, "a value is missing or of another type than the condition needs"},
		} {
			task := &campaign.Task{When: c.when}
			holds, err := task.Matches([]byte(c.data), "scan", at)
			if want := c.when + " cannot be decided: " + c.want; holds || err == nil || err.Error() != want {
				t.Errorf("with %s it gives %v, %v; want %s", c.data, holds, err, want)
			}
		}
		if _, err := (&campaign.Task{When: `data.a`}).Matches([]byte(`[1]`), "scan", at); err == nil || err.Error() != "the event's data is not a JSON object" {
			t.Error(err)
		}
	})

	t.Run("NothingThatReadsAClockOrGrowsCompiles", func(t *testing.T) {
		t.Parallel()
		for _, when := range []string{
			`now().Hour() > 3`,
			`time.Local().Hour() > 3`,
			`time["Local"]().Hour() > 3`,
			`len(repeat("x", 100)) > 3`,
			`let a = type + type; a == a`,
			`1 == 1; 2 == 2`,
			`all(data.l, all(data.l, # == 1))`,
			`len(map(data.l, #)) == 1`,
			`reduce(data.l, #acc + #) == 1`,
			`type matches data.pattern`,
			`len(toJSON(data)) > 3`,
			`data.amount >= 1` + strings.Repeat(` and data.amount >= 1`, 40),
			`env == nil`,
			`$env["data"].amount == 1`,
		} {
			if _, problems := task(t, when); len(problems) == 0 {
				t.Errorf("%s compiles", when)
			}
		}
	})

	t.Run("ALongListIsDecidedToo", func(t *testing.T) {
		t.Parallel()
		task, problems := task(t, `all(data.l, # matches "(a*)*b" or # != nil) and count(data.l, # == "a") >= 0`)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		data := `{"l": [` + strings.Repeat(`"a",`, 1000) + `"a"]}`
		if got, err := task.Matches([]byte(data), "subscribe", at); !got || err != nil {
			t.Fatal(got, err)
		}
	})

	t.Run("NoConditionAlwaysHolds", func(t *testing.T) {
		t.Parallel()
		if got, err := (&campaign.Task{}).Matches([]byte("not even JSON"), "scan", at); !got || err != nil {
			t.Error(got, err)
		}
	})

	t.Run("ATaskMadeByHandCompilesItsCondition", func(t *testing.T) {
		t.Parallel()
		made := &campaign.Task{Name: "made", When: `data.amount > 1`}
		if got, err := made.Matches([]byte(`{"amount": 2}`), "scan", at); !got || err != nil {
			t.Error(got, err)
		}
		made.When = `data.amount >`
		if got, err := made.Matches([]byte(`{"amount": 2}`), "scan", at); got || err == nil {
			t.Error(got, err)
		}
	})
}

func FuzzMatches(f *testing.F) {
	f.Add(`data.amount >= 9900`, `{"amount": 9900}`)
	f.Add(`any(data.l, # matches "a+")`, `{"l": ["a", 1, null]}`)
	f.Add(`time.Hour() in 9..18`, `{}`)
	f.Add(`1 % data.z == int(data.a)`, `{"z": 0, "a": []}`)
	inside := regexp.MustCompile(`interface|reflect|runtime error|panic|\bnil\b|map\[`)
	f.Fuzz(func(t *testing.T, when, data string) {
		if len(when) > 500 || len(data) > 4096 {
			return
		}
		task := &campaign.Task{When: when}
		holds, err := task.Matches([]byte(data), "purchase", time.UnixMilli(0))
		if holds && err != nil {
			t.Fatal("it holds and fails")
		}
		if err == nil {
			return
		}
		reason, ok := strings.CutPrefix(err.Error(), when+" cannot be decided: ")
		if ok && inside.MatchString(reason) && !inside.MatchString(when+data) {
			t.Errorf("%s with %s speaks of what is inside: %s", when, data, reason)
		}
	})
}
