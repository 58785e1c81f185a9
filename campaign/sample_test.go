package campaign_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/campaign"
)

// read is a file of testdata.
func read(t testing.TB, file string) []byte {
	t.Helper()
	source, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// parse is a definition without problems.
func parse(t interface {
	Helper()
	Fatalf(string, ...any)
}, source []byte,
) *campaign.Definition {
	t.Helper()
	d, _, problems := campaign.Parse(source, "test.yaml")
	if len(problems) > 0 {
		t.Fatalf("unexpected problems: %v\n%s", problems, source)
	}
	return d
}

// with is the full example with one piece of text replaced.
func with(t testing.TB, old, new string) *campaign.Definition {
	t.Helper()
	source := string(read(t, "full.yaml"))
	if strings.Count(source, old) != 1 {
		t.Fatalf("%q is %d times in the example", old, strings.Count(source, old))
	}
	return parse(t, []byte(strings.Replace(source, old, new, 1)))
}

// definitions draws valid definitions of every shape.
func definitions() *rapid.Generator[*campaign.Definition] {
	return rapid.Custom(func(t *rapid.T) *campaign.Definition {
		short := rapid.StringMatching(`[a-zA-Z0-9 "'\\{}:#,&*!%é中文😀-]{0,10}[a-z中😀]`)
		label := rapid.Map(short, strings.TrimSpace)
		word := rapid.StringMatching(`[a-z][a-z0-9_]{0,8}`)
		color := rapid.StringMatching(`#[0-9A-Fa-f]{6}`)
		tint := rapid.StringMatching(`#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?`)
		picture := rapid.StringMatching(`[A-Za-z0-9_-]{1,10}\.(jpg|jpeg|png|PNG)`)
		coordinate := rapid.IntRange(-100, 4000)
		side := rapid.IntRange(16, 4096)
		window := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 90*86400).Draw(t, "seconds")) * time.Second
		})
		optional := func(t *rapid.T, g *rapid.Generator[string], label string) string {
			if rapid.Bool().Draw(t, "has "+label) {
				return g.Draw(t, label)
			}
			return ""
		}

		starts := time.UnixMilli(rapid.Int64Range(1_700_000_000_000, 2_000_000_000_000).Draw(t, "starts"))
		zone := time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600)
		d := &campaign.Definition{
			ID:      rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,20}`).Draw(t, "id"),
			Name:    label.Draw(t, "name"),
			Channel: word.Draw(t, "channel"),
			QR:      rapid.SampledFrom([]string{campaign.ChannelInQR, campaign.LinkInQR}).Draw(t, "qr"),
			Schedule: campaign.Schedule{
				Starts:   starts.In(zone),
				Ends:     starts.Add(1 + window.Draw(t, "length")).Truncate(time.Millisecond).Add(time.Second).In(zone),
				Timezone: rapid.SampledFrom([]string{"UTC", "Asia/Shanghai", "America/New_York"}).Draw(t, "timezone"),
			},
			Join: campaign.Join{
				OnSubscribe: rapid.Bool().Draw(t, "on_subscribe"),
				Keywords:    rapid.SliceOfNDistinct(label, 0, 3, func(s string) string { return s }).Draw(t, "keywords"),
				MenuKey:     optional(t, label, "menu_key"),
			},
			Attribution: campaign.Attribution{Window: time.Second + window.Draw(t, "window")},
			Funnel:      rapid.SliceOfNDistinct(word, 1, 5, func(s string) string { return s }).Draw(t, "funnel"),
			Limits: campaign.Limits{
				Participants:             rapid.Int64Range(0, 1000).Draw(t, "participants"),
				InvitesPerInviterPerHour: rapid.IntRange(0, 1000).Draw(t, "invites"),
			},
		}
		if rapid.Bool().Draw(t, "has budget") {
			d.Budget = &campaign.Budget{
				Currency:    rapid.SampledFrom([]string{"CNY", "USD", "JPY", "KWD"}).Draw(t, "currency"),
				Limit:       rapid.Int64Range(0, 1e12).Draw(t, "limit"),
				OnExhausted: rapid.SampledFrom([]string{campaign.Waitlist, campaign.Reject}).Draw(t, "on_exhausted"),
			}
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "rewards") {
			w := campaign.Reward{
				Name:         fmt.Sprintf("reward-%d", i),
				Kind:         rapid.SampledFrom([]string{campaign.Coupon, campaign.Cash, campaign.Physical, campaign.Points}).Draw(t, "kind"),
				Title:        label.Draw(t, "title"),
				UnitCost:     rapid.Int64Range(0, 100000).Draw(t, "unit_cost"),
				Stock:        rapid.Int64Range(0, 1e6).Draw(t, "stock"),
				Review:       rapid.Bool().Draw(t, "review"),
				NeedsAddress: rapid.Bool().Draw(t, "needs_address"),
			}
			if w.Kind == campaign.Cash {
				w.Amount = rapid.Int64Range(1, 100000).Draw(t, "amount")
			}
			if w.Kind == campaign.Points {
				w.Points = rapid.Int64Range(1, 100000).Draw(t, "points")
			}
			d.Rewards = append(d.Rewards, w)
		}
		someRewards := func(label string) []string {
			var names []string
			for _, w := range d.Rewards {
				if rapid.Bool().Draw(t, label) {
					names = append(names, w.Name)
				}
			}
			return names
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "tasks") {
			on := word.Draw(t, "on")
			d.Tasks = append(d.Tasks, campaign.Task{
				Name: fmt.Sprintf("task_%d", i), Title: label.Draw(t, "title"), On: on,
				Credit:       rapid.SampledFrom([]string{campaign.Inviter, campaign.Actor}).Draw(t, "credit"),
				NewUsersOnly: rapid.Bool().Draw(t, "new_users_only"),
				RevokeOn:     optional(t, rapid.Just("un"+on), "revoke_on"),
				Hold:         window.Draw(t, "hold"),
				PerDay:       rapid.IntRange(0, 100).Draw(t, "per_day"),
				When:         optional(t, rapid.SampledFrom([]string{`data.amount >= 9900`, `type == "scan"`, `any(data.tags, # in ["a", "b"])`}), "when"),
			})
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "tiers") {
			tier := campaign.Tier{Name: fmt.Sprintf("%s %d", label.Draw(t, "tier"), i), Rewards: someRewards("tier has reward")}
			for j, task := range d.Tasks {
				if j == 0 || rapid.Bool().Draw(t, "requires") {
					tier.Requires = append(tier.Requires, campaign.Requirement{Task: task.Name, Count: rapid.IntRange(1, 100).Draw(t, "count")})
				}
			}
			d.Tiers = append(d.Tiers, tier)
		}
		d.Welcome.Rewards = someRewards("welcome has reward")
		for _, key := range []string{"joined", "credited", "tier_reached", "revoked"} {
			if said := optional(t, short, key); said != "" {
				if d.Messages == nil {
					d.Messages = map[string]string{}
				}
				d.Messages[key] = said
			}
		}
		layers := func(label string) []campaign.Layer {
			out := []campaign.Layer{{QR: &campaign.QR{
				X: coordinate.Draw(t, "x"), Y: coordinate.Draw(t, "y"), Size: side.Draw(t, "size"),
				Level: rapid.SampledFrom([]string{"L", "M", "Q", "H"}).Draw(t, "level"),
				Logo:  optional(t, picture, "logo"), Dark: color.Draw(t, "dark"), Light: color.Draw(t, "light"),
			}}}
			for range rapid.IntRange(0, 4).Draw(t, label) {
				x, y := coordinate.Draw(t, "x"), coordinate.Draw(t, "y")
				switch rapid.IntRange(0, 3).Draw(t, "layer") {
				case 0:
					text := &campaign.Text{
						Value: short.Draw(t, "value"), X: x, Y: y, Size: float64(rapid.IntRange(16, 1000).Draw(t, "half size")) / 2,
						Color: tint.Draw(t, "color"), MaxWidth: rapid.IntRange(0, 4096).Draw(t, "max_width"),
						Align:  rapid.SampledFrom([]string{"left", "center", "right"}).Draw(t, "align"),
						Weight: rapid.SampledFrom([]string{"regular", "bold"}).Draw(t, "weight"),
						Font:   optional(t, rapid.StringMatching(`[A-Za-z0-9_-]{1,10}\.(ttf|otf|OTF)`), "font"),
						Lines:  rapid.IntRange(1, 20).Draw(t, "lines"), LineHeight: float64(rapid.IntRange(8, 30).Draw(t, "line_height")) / 10,
					}
					if rapid.Bool().Draw(t, "has outline") {
						text.OutlineColor, text.OutlineWidth = tint.Draw(t, "outline"), float64(rapid.IntRange(1, 64).Draw(t, "half width"))/2
					}
					if rapid.Bool().Draw(t, "has shadow") {
						offset := rapid.IntRange(-64, 64)
						text.ShadowColor, text.ShadowBlur = tint.Draw(t, "shadow"), rapid.IntRange(0, 64).Draw(t, "blur")
						text.ShadowX, text.ShadowY = offset.Draw(t, "offset x"), offset.Draw(t, "offset y")
					}
					out = append(out, campaign.Layer{Text: text})
				case 1:
					out = append(out, campaign.Layer{Avatar: &campaign.Avatar{
						X: x, Y: y, Size: rapid.IntRange(16, 1024).Draw(t, "size"),
						Shape: rapid.SampledFrom([]string{"circle", "rounded", "square"}).Draw(t, "shape"),
					}})
				case 2:
					image := &campaign.Image{Source: picture.Draw(t, "source"), X: x, Y: y}
					if rapid.Bool().Draw(t, "has size") {
						image.Width, image.Height = side.Draw(t, "width"), side.Draw(t, "height")
					}
					out = append(out, campaign.Layer{Image: image})
				case 3:
					out = append(out, campaign.Layer{Rect: &campaign.Rect{
						X: x, Y: y, Width: side.Draw(t, "width"), Height: side.Draw(t, "height"),
						Color: tint.Draw(t, "color"), Radius: rapid.IntRange(0, 100).Draw(t, "radius"),
					}})
				}
			}
			return out
		}
		background := rapid.OneOf(color, picture)
		d.Poster = campaign.Poster{
			Size:       [2]int{rapid.IntRange(200, 4096).Draw(t, "width"), rapid.IntRange(200, 4096).Draw(t, "height")},
			Background: background.Draw(t, "background"), Format: rapid.SampledFrom([]string{"jpeg", "png"}).Draw(t, "format"),
			Quality: rapid.IntRange(60, 95).Draw(t, "quality"), Layers: layers("layers"),
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "variants") {
			v := campaign.Variant{Name: string(rune('b' + i)), Background: background.Draw(t, "background")}
			if rapid.Bool().Draw(t, "own layers") {
				v.Layers = layers("variant layers")
			}
			d.Poster.Variants = append(d.Poster.Variants, v)
		}
		return d
	})
}
