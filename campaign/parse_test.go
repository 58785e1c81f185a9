package campaign_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"kfactor/campaign"
	"kfactor/internal/fault"
)

func TestParse(t *testing.T) {
	t.Parallel()

	t.Run("TheSmallestUsefulFileGetsItsDefaults", func(t *testing.T) {
		t.Parallel()
		d := parse(t, read(t, "spring.yaml"))
		zone := time.FixedZone("", 8*3600)
		want := &campaign.Definition{
			ID: "spring-2026", Name: "春季老带新", Channel: "web", QR: "code",
			Schedule: campaign.Schedule{
				Starts:   time.Date(2026, 1, 1, 0, 0, 0, 0, zone),
				Ends:     time.Date(2036, 12, 31, 23, 59, 59, 0, zone),
				Timezone: "Asia/Shanghai",
			},
			Attribution: campaign.Attribution{Window: 7 * 24 * time.Hour},
			Poster: campaign.Poster{
				Size: [2]int{750, 1334}, Background: "#FFF4E0", Format: "jpeg", Quality: 85,
				Layers: []campaign.Layer{
					{Text: &campaign.Text{Value: "{{nickname}} 邀请你一起领好礼", X: 60, Y: 120, Size: 44, Color: "#222222", MaxWidth: 630, Align: "left", Weight: "regular", Lines: 1, LineHeight: 1.4}},
					{QR: &campaign.QR{X: 235, Y: 900, Size: 280, Level: "M", Dark: "#000000", Light: "#FFFFFF"}},
				},
			},
			Tasks: []campaign.Task{{Name: "invite", Title: "邀请好友关注", On: "subscribe", Credit: campaign.Inviter, RevokeOn: "unsubscribe"}},
			Tiers: []campaign.Tier{
				{Name: "铜牌", Requires: []campaign.Requirement{{Task: "invite", Count: 3}}, Rewards: []string{"coupon"}},
				{Name: "银牌", Requires: []campaign.Requirement{{Task: "invite", Count: 5}}, Rewards: []string{"mug"}},
			},
			Rewards: []campaign.Reward{
				{Name: "coupon", Kind: campaign.Coupon, Title: "10 元优惠券", UnitCost: 1000, Stock: 100},
				{Name: "mug", Kind: campaign.Physical, Title: "定制马克杯", UnitCost: 3500, Stock: 2, Review: true},
			},
			Budget: &campaign.Budget{Currency: "CNY", Limit: 500000, OnExhausted: campaign.Waitlist},
			Funnel: []string{"expose", "scan", "subscribe", "bind", "purchase"},
		}
		type plain campaign.Definition // without Equal, so that the differences are shown
		if diff := cmp.Diff((*plain)(want), (*plain)(d), cmpopts.IgnoreUnexported(campaign.Task{}, campaign.Schedule{})); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("EveryKeyOfTheFullFileIsRead", func(t *testing.T) {
		t.Parallel()
		d := parse(t, read(t, "full.yaml"))
		if want := []string{"autumn-b.jpg", "autumn.jpg", "badge.png", "logo.png"}; !slices.Equal(d.Files(), want) {
			t.Errorf("its files are %v", d.Files())
		}
		branded := with(t, `color: "#666666"`, "font: brand.otf")
		if want := []string{"autumn-b.jpg", "autumn.jpg", "badge.png", "brand.otf", "logo.png"}; !slices.Equal(branded.Files(), want) {
			t.Errorf("its files are %v", branded.Files())
		}
		invite := d.Task("invite")
		if !invite.NewUsersOnly || invite.Hold != 24*time.Hour || invite.PerDay != 50 || invite.RevokeOn != "unsubscribe" {
			t.Errorf("invite is %+v", invite)
		}
		if cash := d.Reward("cash"); cash.Amount != 200 || cash.UnitCost != 200 || !cash.Review {
			t.Errorf("cash is %+v", cash)
		}
		if d.Reward("points").Points != 500 || d.Limits.InvitesPerInviterPerHour != 30 || d.Welcome.Rewards[0] != "newbie" {
			t.Error("points, limits or welcome are not read")
		}
		if d.Join.Keywords[1] != "海报" || d.Join.MenuKey != "POSTER" || !d.Join.OnSubscribe {
			t.Errorf("join is %+v", d.Join)
		}
		if d.Poster.Variants[0].Background != "autumn-b.jpg" || d.Poster.Variants[0].Layers != nil {
			t.Errorf("variants are %+v", d.Poster.Variants)
		}
		if !strings.HasPrefix(d.Messages["tier_reached"], "恭喜") {
			t.Errorf("messages are %v", d.Messages)
		}
	})

	t.Run("JSONMeansTheSameAsYAML", func(t *testing.T) {
		t.Parallel()
		d := parse(t, read(t, "full.yaml"))
		var indented bytes.Buffer
		if err := json.Indent(&indented, d.Canonical(), "", "\t"); err != nil {
			t.Fatal(err)
		}
		if again := parse(t, indented.Bytes()); !d.Equal(again) {
			t.Error("the JSON form reads differently")
		}
	})

	t.Run("JSONEscapesAreJSONs", func(t *testing.T) {
		t.Parallel()
		source := bytes.Replace(parse(t, read(t, "spring.yaml")).Canonical(), []byte("春季老带新"), []byte(`\ud83d\ude00 \u003cb\u003e\/`), 1)
		if d := parse(t, source); d.Name != "😀 <b>/" {
			t.Errorf("the name is %q", d.Name)
		}
	})

	t.Run("CanonicalReadsBackEqual", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			d := definitions().Draw(t, "definition")
			again := parse(t, d.Canonical())
			if !d.Equal(again) {
				t.Fatalf("got back\n%s\nof\n%s", again.Canonical(), d.Canonical())
			}
			if changes := campaign.Changes(d, again); len(changes) > 0 {
				t.Fatalf("equal definitions differ: %v", changes)
			}
		})
	})

	t.Run("WindowsLineEndsAndABOMAreFine", func(t *testing.T) {
		t.Parallel()
		source := read(t, "full.yaml")
		windows := append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(source, []byte("\n"), []byte("\r\n"))...)
		if !parse(t, source).Equal(parse(t, windows)) {
			t.Error("they read differently")
		}
	})

	t.Run("TheKeyOnIsAWord", func(t *testing.T) {
		t.Parallel()
		if d := parse(t, read(t, "spring.yaml")); d.Task("invite").On != "subscribe" {
			t.Error("YAML 1.1 would read `on` as true")
		}
	})
}

func TestSource(t *testing.T) {
	t.Parallel()
	_, source, _ := campaign.Parse(read(t, "spring.yaml"), "spring.yaml")
	for field, want := range map[string]string{
		"campaign":                       "1:11",
		"poster":                         "7:1",
		"poster.size":                    "8:3",
		"poster.size[1]":                 "8:15",
		"poster.layers[1]":               "12:7",
		"poster.layers[1].qr.size":       "12:34",
		"poster.layers[1].qr.level":      "12:7", // the file has none: the nearest around it
		"tiers[1].requires.invite":       "24:24",
		"tasks.invite.hold":              "14:3",
		"poster.variants.b.layers[2].at": "7:1",
		"":                               "1:1",
		"nothing.like.it":                "1:1",
	} {
		line, column := source.Position(field)
		if got := fmt.Sprintf("%d:%d", line, column); got != want {
			t.Errorf("%s stands at %s, not %s", field, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()

	// Each case changes the small example in one place; what is said about it is exact.
	spring := string(read(t, "spring.yaml"))
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown key", "channel: web", "chanel: web", `3:1: chanel: there is no key "chanel" here; did you mean channel?`},
		{"a key from nowhere", "channel: web", "zebra: web", `3:1: zebra: there is no key "zebra" here; keys here are campaign, name, channel, qr, schedule, join, attribution, poster, tasks, tiers, welcome, rewards, budget, limits, funnel, messages`},
		{"an unknown key inside", "revoke_on: unsubscribe", "revokeon: unsubscribe", `18:5: tasks.invite.revokeon: there is no key "revokeon" here; did you mean revoke_on?`},
		{"a key with a dash", "unit_cost: \"10.00\"", "unit-cost: \"10.00\"", `30:5: rewards.coupon.unit-cost: there is no key "unit-cost" here; did you mean unit_cost?`},
		{"a key twice", "channel: web", "channel: web\nname: again", `4:1: name: the key "name" stands twice, first on line 2; keep one of them`},
		{"a missing key", "name: 春季老带新\n", "", "1:1: name: this key is missing; write `name:` with what people call the campaign"},
		{"a missing key inside", "    on: subscribe\n", "", "14:3: tasks.invite.on: this key is missing; write the event that counts, like `on: subscribe`"},
		{"a key without a value", "channel: web", "channel:", "3:1: channel: this key has no value; give it one or remove the key"},
		{"a bad name", "campaign: spring-2026", "campaign: Spring 2026", `1:11: campaign: "Spring 2026" does not have the right form; use 1 to 63 of a-z, 0-9 and -, not beginning with -`},
		{"a number for text", "name: 春季老带新", "name: 2026", `2:7: name: this must be text, not a whole number; write it in quotes: "2026"`},
		{"a list for text", "name: 春季老带新", "name: [a]", `2:1: name: this must be text, not a list; write text here`},
		{"a control character", "name: 春季老带新", `name: "a\x07"`, "2:7: name: this holds a control character (U+0007); remove it"},
		{"a very long name", "name: 春季老带新", "name: " + strings.Repeat("长", 10000), "2:7: name: this has 10000 characters, more than 100; shorten it"},
		{"a name with a space around it", "name: 春季老带新", `name: " 春季老带新"`, `2:7: name: this begins or ends with a space; write "春季老带新"`},
		{"a title with a space around it", "title: 邀请好友关注", "title: \"邀请好友关注\u3000\"", `15:12: tasks.invite.title: this begins or ends with a space; write "邀请好友关注"`},
		{"a tier with a space around it", "name: 银牌", `name: "铜牌 "`, `23:11: tiers[1].name: this begins or ends with a space; write "铜牌"`},
		{"a name that runs backwards", "name: 春季老带新", `name: "a\u202eb"`, "2:7: name: this holds a character that cannot be seen (U+202E); remove it"},
		{"a title with an isolate", "title: 10 元优惠券", `title: "10\u2066 元"`, "29:12: rewards.coupon.title: this holds a character that cannot be seen (U+2066); remove it"},
		{"a tier that looks like another", "name: 银牌", `name: "铜\u200b牌"`, `23:11: tiers[1].name: this holds a character that cannot be seen (U+200B); remove it`},
		{"a tier of another direction", "name: 银牌", `name: "铜\u061c牌"`, `23:11: tiers[1].name: this holds a character that cannot be seen (U+061C); remove it`},
		{"a name of nothing", "name: 春季老带新", `name: "\u200d\ufe0f"`, "2:7: name: this holds a character that cannot be seen (U+200D); remove it"},
		{"a name of fillers", "name: 春季老带新", `name: "a\u3164"`, "2:7: name: this holds a character that cannot be seen (U+3164); remove it"},
		{"a hexadecimal number", "stock: 100", "stock: 0x10", `31:12: rewards.coupon.stock: "0x10" is not written in plain digits; write a whole number from 0 to 1000000000`},
		{"a number that may be octal", "stock: 100", "stock: 010", `31:12: rewards.coupon.stock: "010" is not written in plain digits; write a whole number from 0 to 1000000000`},
		{"a number that cannot be octal", "stock: 100", "stock: 08", `31:12: rewards.coupon.stock: "08" is not written in plain digits; write a whole number from 0 to 1000000000`},
		{"a number with a line through it", "stock: 100", "stock: 1_000", `31:12: rewards.coupon.stock: "1_000" is not written in plain digits; write 1000`},
		{"a number with a power", "stock: 100", "stock: 1e3", `31:12: rewards.coupon.stock: "1e3" is not written in plain digits; write a whole number from 0 to 1000000000`},
		{"a number with a plus", "requires: {invite: 3}", "requires: {invite: +5}", `21:24: tiers[0].requires.invite: "+5" is not written in plain digits; write 5`},
		{"a size in another system", "size: 44", "size: 0x2c", `11:67: poster.layers[0].text.size: "0x2c" is not written in plain digits; write a number from 8 to 512`},
		{"a hold with a zero before it", "on: subscribe", "on: subscribe\n    hold: 010h", `17:11: tasks.invite.hold: "010h" is not a length of time; write a whole number with its unit: 90s, 30m, 24h or 7d`},
		{"an end before the start", "ends: 2036-12-31T23:59:59+08:00", "ends: 2025-12-31T23:59:59+08:00", "6:9: schedule.ends: the campaign ends before it starts; write a time after 2026-01-01T00:00:00+08:00"},
		{"a time without a zone", "2036-12-31T23:59:59+08:00", "2036-12-31 23:59:59", `6:9: schedule.ends: "2036-12-31 23:59:59" is not a time with its zone; write it like 2026-09-01T09:00:00+08:00`},
		{"a day that is none", "2036-12-31T23:59:59+08:00", "2036-02-30T23:59:59+08:00", `6:9: schedule.ends: "2036-02-30T23:59:59+08:00" is not a time with its zone; write it like 2026-09-01T09:00:00+08:00`},
		{"an unknown zone", "+08:00\nposter", "+08:00\n  timezone: Asia/Peking\nposter", `7:13: schedule.timezone: "Asia/Peking" is not a time zone; write an IANA name, like Asia/Shanghai or UTC`},
		{"a poster without a qr", "    - qr: {at: [235, 900], size: 280}\n", "", "10:3: poster.layers: a poster without a qr brings nobody; add a layer like `qr: {at: [235, 900], size: 280}`"},
		{"two qrs", "size: 280}", "size: 280}\n    - qr: {at: [0, 0], size: 280}", "13:7: poster.layers[2].qr: a poster has one qr; keep one"},
		{"two things in a layer", "- qr: {at", "- rect: {at: [0, 0], size: [1, 1], color: \"#000000\"}\n      qr: {at", "12:7: poster.layers[1]: a layer is exactly one thing; write each as a layer of its own, with one of text, qr, avatar, image or rect"},
		{"an unknown layer", "- qr: {at", "- barcode: {}\n    - qr: {at", `12:7: poster.layers[1].barcode: there is no key "barcode" here; keys here are text, qr, avatar, image, rect`},
		{"one coordinate", "at: [235, 900]", "at: [235]", "12:12: poster.layers[1].qr.at: this must be a list of two whole numbers; write it like [60, 120]"},
		{"half a pixel", "at: [235, 900]", "at: [235.5, 900]", "12:17: poster.layers[1].qr.at[0]: this must be a whole number, not a number; write a whole number from -4096 to 4096"},
		{"a number in quotes", "size: 280", `size: "280"`, "12:34: poster.layers[1].qr.size: this must be a whole number, not text; write it without quotes: 280"},
		{"a colour by name", `color: "#222222"`, "color: black", `11:78: poster.layers[0].text.color: "black" is not a colour; write it like "#1A1A1A"`},
		{"a shade too many", `color: "#222222"`, `color: "#22222280F"`, `11:78: poster.layers[0].text.color: "#22222280F" is not a colour; write it like "#1A1A1A"`},
		{"lines without end", `color: "#222222"`, "lines: 100", "11:78: poster.layers[0].text.lines: 100 is out of bounds; write a whole number from 1 to 20"},
		{"a font that is a picture", `color: "#222222"`, "font: brand.png", `11:77: poster.layers[0].text.font: "brand.png" is not a font by its name; use a .ttf or .otf`},
		{"an outline as a number", `color: "#222222"`, "outline: 3", "11:80: poster.layers[0].text.outline: this must be a mapping, not a whole number; write it as keys with values: color, width"},
		{"a fat outline", `color: "#222222"`, "outline: {width: 50}", "11:88: poster.layers[0].text.outline.width: 50 is out of bounds; write a number from 0.5 to 32"},
		{"a shadow elsewhere", `color: "#222222"`, "shadow: {offset: [0, 500]}", "11:92: poster.layers[0].text.shadow.offset[1]: 500 is out of bounds; write a whole number from -64 to 64"},
		{"an outline of another kind", `color: "#222222"`, "outline: {colour: red}", `11:81: poster.layers[0].text.outline.colour: there is no key "colour" here; did you mean color?`},
		{"a colour that is a comment", `background: "#FFF4E0"`, "background: #FFF4E0", "9:3: poster.background: this key has no value; give it one or remove the key"},
		{"a file elsewhere", `background: "#FFF4E0"`, "background: ../../etc/passwd.png", `9:15: poster.background: "../../etc/passwd.png" cannot be the name of a file; use up to 100 of A-Z, a-z, 0-9, dot, - and _, without folders`},
		{"a file of another kind", `background: "#FFF4E0"`, "background: summer.gif", `9:15: poster.background: "summer.gif" is not a picture by its name; use a .jpg, .jpeg or .png`},
		{"a poster the size of a house", "size: [750, 1334]", "size: [75000, 1334]", "8:10: poster.size[0]: 75000 is out of bounds; write a whole number from 200 to 4096"},
		{"no tasks", spring[strings.Index(spring, "tasks:"):strings.Index(spring, "tiers:")], "tasks: {}\n", "13:1: tasks: there are no tasks; write at least one, like `invite: {on: subscribe}`"},
		{"a task without anything", "tiers:", "  other:\ntiers:", `19:3: tasks.other: nothing is said about "other"; write it or remove the key`},
		{"an event that is no word", "on: subscribe", "on: Subscribe!", `16:9: tasks.invite.on: "Subscribe!" does not have the right form; use a lower-case word: up to 32 of a-z, 0-9 and _, beginning with a letter`},
		{"a credit for nobody", "credit: inviter", "credit: everybody", `17:13: tasks.invite.credit: "everybody" is not known here; write inviter or actor`},
		{"a task that takes itself back", "revoke_on: unsubscribe", "revoke_on: subscribe", "18:16: tasks.invite.revoke_on: the event that counts cannot take its own credit back; write another event, like unsubscribe or refund"},
		{"a hold without a unit", "on: subscribe", "on: subscribe\n    hold: 24", `17:11: tasks.invite.hold: "24" is not a length of time; write a whole number with its unit: 90s, 30m, 24h or 7d`},
		{"a hold of a year", "on: subscribe", "on: subscribe\n    hold: 365d", "17:11: tasks.invite.hold: 365d is out of bounds; write 0s to 90d"},
		{"a window of zero", "channel: web", "attribution: {window: 0d}", "3:23: attribution.window: 0d is out of bounds; write 1s to 365d"},
		{"no credits a day", "on: subscribe", "on: subscribe\n    per_day: 0", "17:14: tasks.invite.per_day: 0 is out of bounds; write a whole number from 1 to 1000000"},
		{"yes for true", "on: subscribe", "on: subscribe\n    new_users_only: yes", "17:21: tasks.invite.new_users_only: this must be true or false, not text; write true or false, without quotes"},
		{"a task nobody defined", "requires: {invite: 3}", "requires: {inivte: 3}", `21:16: tiers[0].requires.inivte: there is no task "inivte"; did you mean invite?`},
		{"a task far from any", "requires: {invite: 3}", "requires: {purchase: 3}", `21:16: tiers[0].requires.purchase: there is no task "purchase"; define it under tasks`},
		{"a target of zero", "requires: {invite: 3}", "requires: {invite: 0}", "21:24: tiers[0].requires.invite: 0 is out of bounds; write a whole number from 1 to 1000000"},
		{"a tier that requires nothing", "requires: {invite: 3}", "requires: {}", "21:5: tiers[0].requires: this tier requires nothing; write what it takes, like `{invite: 3}`"},
		{"a tier's name twice", "name: 银牌", "name: 铜牌", `23:11: tiers[1].name: another tier is called "铜牌" already; give each tier its own name`},
		{"a reward nobody defined", "rewards: [mug]", "rewards: [mugg]", `25:15: tiers[1].rewards[0]: there is no reward "mugg"; did you mean mug?`},
		{"negative money", `unit_cost: "10.00"`, `unit_cost: "-10.00"`, `30:16: rewards.coupon.unit_cost: "-10.00" is negative; write an amount of zero or more`},
		{"a plain number for money", `unit_cost: "10.00"`, `unit_cost: 10.00`, `30:16: rewards.coupon.unit_cost: amounts of money are text, so that no digit is lost; write it in quotes: "10.00"`},
		{"a whole number for money", `unit_cost: "10.00"`, `unit_cost: 10`, `30:16: rewards.coupon.unit_cost: amounts of money are text, so that no digit is lost; write it in quotes: "10.00"`},
		{"a tenth of a fen", `unit_cost: "10.00"`, `unit_cost: "10.001"`, `30:16: rewards.coupon.unit_cost: "10.001" has more decimals than CNY allows (2); write it like "10.50"`},
		{"a negative stock", "stock: 100", "stock: -1", "31:12: rewards.coupon.stock: -1 is out of bounds; write a whole number from 0 to 1000000000"},
		{"a reward without a stock", "    stock: 100\n", "", "27:3: rewards.coupon.stock: this key is missing; write how many there are, like `stock: 1000`"},
		{"a kind from nowhere", "kind: coupon", "kind: voucher", `28:11: rewards.coupon.kind: "voucher" is not known here; write coupon, cash, physical or points`},
		{"cash without an amount", "kind: coupon", "kind: cash", `27:3: rewards.coupon.amount: this key is missing; write what each person gets, like amount: "2.00"`},
		{"points without a number", "kind: coupon", "kind: points", `27:3: rewards.coupon.points: this key is missing; write how many each person gets, like points: 500`},
		{"a coupon with an amount", "kind: coupon", "kind: coupon\n    amount: \"2.00\"", `29:13: rewards.coupon.amount: a coupon has no amount; remove it, or write kind: cash`},
		{"a stock beyond counting", `unit_cost: "10.00"`, `unit_cost: "9999999999999.00"`, `31:12: rewards.coupon.stock: the whole stock is worth more than can be counted; write a lower stock`},
		{"a currency that is none", "currency: CNY", "currency: RMB¥", `38:20: budget.currency: "RMB¥" is not a currency; write three capitals, like CNY`},
		{"a stage twice", "budget:", "funnel: [scan, bind, scan]\nbudget:", `38:22: funnel[2]: the stage "scan" stands twice; keep it once`},
		{"an unknown message", "budget:", "messages: {goodbye: hi}\nbudget:", `38:12: messages.goodbye: there is no key "goodbye" here; keys here are joined, credited, tier_reached, revoked, welcome, delivered, rejected`},
		{"a condition that does not compile", "on: subscribe", "on: subscribe\n    when: data.amount >=", "17:24: tasks.invite.when: unexpected token EOF; finish it; put it in quotes where it holds a #, or YAML takes the rest for a comment"},
		{"a condition over an unknown name", "on: subscribe", "on: subscribe\n    when: \"amount >= 9900\"", "17:12: tasks.invite.when: unknown name amount; write a condition over data, type and time that is true or false, like `data.amount >= 9900`"},
		{"a condition that is no condition", "on: subscribe", "on: subscribe\n    when: len(type)", "17:11: tasks.invite.when: expected bool, but got int; write a condition over data, type and time that is true or false, like `data.amount >= 9900`"},
		{"an anchor", "requires: {invite: 3}", "requires: &a {invite: 3}", "21:15: anchors and aliases are not read here; write the value out; put text that begins with & or * in quotes"},
		{"an alias", "requires: {invite: 3}", "requires: *a", "21:15: anchors and aliases are not read here; write the value out; put text that begins with & or * in quotes"},
		{"a merge key", "requires: {invite: 3}", "requires: {<<: 3}", "21:16: merge keys are not read here; write the keys out"},
		{"a tag", "stock: 100", "stock: !!str 100", "31:12: tags are not read here; put text that begins with ! in quotes"},
		{"two documents", "budget:", "---\nbudget:", "39:1: a second document begins here; write it into a file of its own"},
		{"a bracket never closed", "rewards: [mug]", "rewards: [mug", "26:1: this is not well-formed YAML: ',' or ']' must be specified; check its indentation, quotes and brackets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(spring, c.old) != 1 {
				t.Fatalf("%q is %d times in the example", c.old, strings.Count(spring, c.old))
			}
			_, _, problems := campaign.Parse([]byte(strings.Replace(spring, c.old, c.new, 1)), "spring.yaml")
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			if want := "spring.yaml:" + c.want; !slices.Contains(said, want) {
				t.Errorf("want\n\t%s\nin\n\t%s", want, strings.Join(said, "\n\t"))
			}
		})
	}

	t.Run("emoji are no hidden characters, and names differ by case", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"👨‍👩‍👧‍👦", "❤️", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "葛\U000e0100", "🇨🇳"} {
			source := strings.Replace(spring, "name: 银牌", "name: "+name, 1)
			if d := parse(t, []byte(source)); d.Tiers[1].Name != name {
				t.Errorf("%q is read as %q", name, d.Tiers[1].Name)
			}
		}
		parse(t, []byte(strings.NewReplacer("name: 铜牌", "name: gold", "name: 银牌", "name: Gold").Replace(spring)))
	})

	t.Run("all of them are told at once and in order", func(t *testing.T) {
		t.Parallel()
		_, _, problems := campaign.Parse(read(t, "broken.yaml"), "broken.yaml")
		var said strings.Builder
		for _, p := range problems {
			said.WriteString(p.String() + "\n")
		}
		if want := string(read(t, "broken.txt")); said.String() != want {
			t.Errorf("got\n%s\nwant\n%s", said.String(), want)
		}
		failure := campaign.ProblemsError(problems)
		if failure.Kind != fault.Invalid || len(failure.Fields) != len(problems) || failure.Fields[0].Line != problems[0].Line {
			t.Errorf("as a failure they are %v", failure)
		}
	})

	t.Run("no problems are no failure", func(t *testing.T) {
		t.Parallel()
		if failure := campaign.ProblemsError(nil); failure != nil {
			t.Error(failure)
		}
	})

	t.Run("what is no campaign at all is told so", func(t *testing.T) {
		t.Parallel()
		for source, want := range map[string]string{
			"":                  "x:1:1: the file is empty; start with `campaign: a-name`",
			"# nothing":         "x:1:1: the file is empty; start with `campaign: a-name`",
			"---\n":             "x:1:1: the file is empty; start with `campaign: a-name`",
			"hello":             "x:1:1: a campaign file is a mapping, not text; start with `campaign: a-name`",
			"- a\n- b":          "x:1:1: a campaign file is a mapping, not a list; start with `campaign: a-name`",
			"name: caf\xe9":     "x:1:10: this is not UTF-8; save the file as UTF-8",
			"%YAML 1.2\n---\na": "x:1:1: directives are not read here; remove the line; put text that begins with % in quotes",
			"? a\n: b":          "x:1:1: keys that begin with ? are not read here; write `key: value`",
		} {
			d, _, problems := campaign.Parse([]byte(source), "x")
			if len(problems) != 1 || problems[0].String() != want || d != nil {
				t.Errorf("%q gives %v", source, problems)
			}
		}
	})

	t.Run("too much is refused", func(t *testing.T) {
		t.Parallel()
		for name, source := range map[string]string{
			"bytes":             strings.Repeat(" ", 256<<10+1),
			"brackets":          strings.Repeat("[", 64<<10),
			"braces":            strings.Repeat("{a: ", 20<<10),
			"json":              strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000),
			"dashes":            strings.Repeat("- ", 48<<10),
			"colons":            strings.Repeat("a: ", 32<<10),
			"questions":         strings.Repeat("? ", 48<<10),
			"stairs":            stairs(700),
			"layers":            strings.Replace(spring, "  layers:\n", "  layers:\n"+strings.Repeat("    - rect: {at: [0, 0], size: [1, 1], color: \"#000000\"}\n", 1000), 1),
			"unknown keys":      unknownKeys(20000),
			"few unknown keys":  unknownKeys(7000),
			"keys in braces":    "{" + strings.ReplaceAll(unknownKeys(7000), "\n", ", ") + "}",
			"keys further in":   "a:\n  " + strings.ReplaceAll(unknownKeys(7000), "\n", "\n  "),
			"a line of JSON":    `{"a": [` + strings.Repeat("0,", 120<<10) + "0]}",
			"empty lines":       "a: |\n  " + strings.Repeat("\n", 250<<10),
			"few empty lines":   "a: |\n  " + strings.Repeat("\n", 7900),
			"empty lines apart": "a: |\n" + strings.Repeat("  x\n"+strings.Repeat("\n", 490), 16),
			"carriage returns":  "a: |\n  " + strings.Repeat("\r", 250<<10),
			"spaces":            "a: |\n" + strings.Repeat(" ", 250<<10),
			"spaced lines":      "a: >\n  b\n" + strings.Repeat(strings.Repeat(" ", 30)+"\n", 7900),
			"quotes":            "name: \"" + strings.Repeat("a", 255<<10) + "\"",
			"a word per line":   strings.Repeat("a\n", 128<<10),
			"keywords":          strings.Replace(spring, "channel: web", "join: {keywords: ["+strings.Repeat("a, ", 30000)+"]}", 1),
		} {
			_, _, problems := campaign.Parse([]byte(source), "x")
			if len(problems) == 0 || len(problems) > 100 {
				t.Errorf("%s: %d problems", name, len(problems))
			}
		}
	})
}

// stairs nests a mapping at every line.
func stairs(steps int) string {
	var out strings.Builder
	for i := range steps {
		out.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return out.String()
}

// The bound on the keys of one mapping counts no two mappings together.
func TestManyKeysInManyMappings(t *testing.T) {
	t.Parallel()
	layers := "  layers:\n    - qr: {at: [235, 900], size: 280}\n"
	for i := range 63 {
		if i%2 == 0 {
			layers += "    - rect: {at: [0, 0], size: [1, 1], color: \"#000000\", radius: 0}\n"
			continue
		}
		layers += "    - text:\n        value: a\n        at: [0, 0]\n        size: 8\n        color: \"#000000\"\n        max_width: 9\n"
	}
	source := string(read(t, "spring.yaml"))
	before, rest, _ := strings.Cut(source, "  layers:\n")
	_, after, _ := strings.Cut(rest, "tasks:")
	source = before + layers + "  variants:\n"
	for name := 'b'; name < 'j'; name++ {
		source += "    " + string(name) + ":\n" + strings.ReplaceAll("  "+strings.TrimSpace(layers), "\n", "\n    ") + "\n"
	}
	source = strings.ReplaceAll(source, ":\n  layers:", ":\n      layers:") + "tasks:" + after
	if d := parse(t, []byte(source)); len(d.Poster.Variants) != 8 || len(d.Poster.Variants[7].Layers) != 64 {
		t.Errorf("%d variants", len(d.Poster.Variants))
	}
}

func unknownKeys(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "key%d: 1\n", i)
	}
	return out.String()
}

func TestSchema(t *testing.T) {
	t.Parallel()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(campaign.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("campaign.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("campaign.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(source []byte) error {
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
		if err != nil {
			return err
		}
		return schema.Validate(instance)
	}

	t.Run("TheExamplesAreValid", func(t *testing.T) {
		t.Parallel()
		for _, file := range []string{"spring.yaml", "full.yaml"} {
			if err := validate(parse(t, read(t, file)).Canonical()); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	})

	t.Run("WhatTheParserTakesIsValid", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			d := definitions().Draw(t, "definition")
			if err := validate(d.Canonical()); err != nil {
				t.Fatalf("%v\n%s", err, d.Canonical())
			}
		})
	})

	t.Run("WhatItRefusesTheParserRefuses", func(t *testing.T) {
		t.Parallel()
		valid := parse(t, read(t, "full.yaml")).Canonical()
		refused := 0
		rapid.Check(t, func(t *rapid.T) {
			var tree any
			if err := json.Unmarshal(valid, &tree); err != nil {
				t.Fatal(err)
			}
			source, err := json.Marshal(mutate(t, tree, rapid.IntRange(1, 120).Draw(t, "where")))
			if err != nil {
				t.Fatal(err)
			}
			if validate(source) == nil {
				return
			}
			refused++
			if _, _, problems := campaign.Parse(source, "x"); len(problems) == 0 {
				t.Fatalf("the parser takes what the schema refuses: %v\n%s", validate(source), source)
			}
		})
		if refused == 0 {
			t.Error("nothing was refused")
		}
	})
}

// mutate replaces the nth value of a tree by something else.
func mutate(t *rapid.T, tree any, n int) any {
	other := rapid.SampledFrom([]any{
		nil, true, "", "x", "#12", "10", "1.234", -1, 0, 1.5, 1e12,
		[]any{},
		[]any{"a"},
		[]any{"a", "a"},
		map[string]any{},
		map[string]any{"x": 1},
		strings.Repeat("y", 601),
	}).Draw(t, "other")
	var walk func(v any) any
	walk = func(v any) any {
		if n--; n == 0 {
			return other
		}
		switch v := v.(type) {
		case map[string]any:
			for key := range v {
				v[key] = walk(v[key])
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		}
		return v
	}
	return walk(tree)
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"spring.yaml", "full.yaml", "broken.yaml"} {
		source := read(f, file)
		f.Add(source)
		if d, _, problems := campaign.Parse(source, file); len(problems) == 0 {
			f.Add(d.Canonical())
		}
	}
	f.Add([]byte("a: &b [*b]"))
	f.Add([]byte("? [a]\n: |+\n  x"))
	f.Fuzz(func(t *testing.T, source []byte) {
		d, places, problems := campaign.Parse(source, "fuzz.yaml")
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Fatalf("a problem without a place or a message: %+v", p)
			}
			places.Position(p.Field)
		}
		if len(problems) > 0 {
			return
		}
		if again := parse(t, d.Canonical()); !d.Equal(again) {
			t.Fatalf("got back\n%s\nof\n%s", again.Canonical(), d.Canonical())
		}
	})
}
