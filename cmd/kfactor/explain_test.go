package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kfactor/engine"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "LANG=zh_CN.UTF-8")
	w.must("campaign", "apply", springFile, "--launch")

	// The journal holds the engine's own events too; the launch is the first.
	var list struct {
		Events int64 `json:"events"`
	}
	if err := json.Unmarshal([]byte(w.must("verify", "--json")), &list); err != nil || list.Events != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	if r := w.run("explain", "spring-2026", "--event", "shop/1%2F"); r.code != exitFailed || !strings.Contains(r.stderr, `has no event "shop/1%2F"`) || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("an unknown event ended with %d: %q", r.code, r.stderr)
	}
	if r := w.run("explain", "nowhere", "--event", "x"); r.code != exitFailed || !strings.Contains(r.stderr, "no campaign") {
		t.Errorf("an unknown campaign ended with %d: %q", r.code, r.stderr)
	}
	if r := w.run("explain", "--event", "x"); r.code != exitUsage || !strings.Contains(r.stderr, "explain needs CAMPAIGN") {
		t.Errorf("no campaign ended with %d: %q", r.code, r.stderr)
	}
	if r := w.run("explain", "spring-2026", "--event", "x", "--lang", "fr"); r.code != exitUsage || !strings.Contains(r.stderr, "write en or zh") {
		t.Errorf("another language ended with %d: %q", r.code, r.stderr)
	}
}

func TestExplainTellsOfMessages(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := teller{&app{stdout: &out}, time.UTC, false}.messages([]engine.ExplainedMessage{
		{Word: "joined", State: "waiting", Why: "It waits.", WhyZH: "等待中。", At: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)},
	}, &engine.MessagesGone{Why: "Older ones were deleted.", WhyZH: "更早的已删除。"})
	if want := "\nTIME                  MESSAGE  STATE    WHY\n2026-03-02T10:00:00Z  joined   waiting  It waits.\n\nOlder ones were deleted.\n"; err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out.String(), want)
	}
}

func TestAChainIsPrintedStepByStep(t *testing.T) {
	t.Parallel()
	x := engine.ExplainedEvent{Why: "Waits.", WhyZH: "等待。", Chains: []engine.ExplainedChain{{Task: "invite", Code: "7K2M9QX4TB", StoppedAt: "hold", Steps: []engine.ExplainedStep{
		{Step: "rule", State: "done", Why: "Fine.", WhyZH: "符合。"},
		{Step: "hold", State: "stopped", Why: "Waits.", WhyZH: "等待。", Change: "Nothing to do.", ChangeZH: "无需操作。"},
		{Step: "tier", State: "not_reached", Why: "Not reached.", WhyZH: "未到。"},
	}}}}
	for chinese, want := range map[bool]string{
		false: "\ntask invite  code 7K2M9QX4TB\n  ✓ rule         Fine.\n  ✗ hold         Waits.\n                 → Nothing to do.\n  · tier         Not reached.\n",
		true:  "\n任务 invite  邀请码 7K2M9QX4TB\n  ✓ 规则         符合。\n  ✗ 观察期       等待。\n                 → 无需操作。\n  · 档位         未到。\n",
	} {
		var out strings.Builder
		teller{&app{stdout: &out}, nil, chinese}.chain(x.Chains[0])
		if out.String() != want {
			t.Errorf("got\n%s\nwant\n%s", out.String(), want)
		}
	}
	for environ, want := range map[string]bool{"LANG=zh_CN.UTF-8": true, "LC_ALL=en_US LANG=zh_CN": false, "LANG=C": false, "": false} {
		a := &app{environ: strings.Fields(environ)}
		if a.readsChinese() != want {
			t.Errorf("%q reads Chinese: %v", environ, !want)
		}
	}
}
