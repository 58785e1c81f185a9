package demo

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"kfactor/campaign"
	"kfactor/channel/wechat/setup"
	"kfactor/engine"
	"kfactor/poster"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(LeastFans, 2*townSize+100).Draw(t, "fans")
		seed := rapid.Uint64().Draw(t, "seed")
		s := Write(n, seed)
		if !reflect.DeepEqual(s, Write(n, seed)) {
			t.Fatal("the same seed told another story")
		}
		count := 0
		for _, town := range s.towns {
			for depth, fans := range generations(town) {
				if len(fans) == 0 {
					t.Fatalf("nobody is %d invitations away", depth)
				}
				count += len(fans)
			}
			first, last := town[0].number, town[len(town)-1].number
			for _, f := range town {
				for _, friend := range []int{f.inviter, f.second} {
					if friend != nobody && (friend < first || friend > last) {
						t.Fatalf("fan %d knows fan %d of another town", f.number, friend)
					}
				}
			}
		}
		if count != n {
			t.Fatalf("%d of %d fans come", count, n)
		}
		for _, f := range s.fans {
			for _, friend := range []int{f.inviter, f.second} {
				if friend == nobody {
					continue
				}
				if host := s.fans[friend]; !host.joins() || host.depth >= f.depth {
					t.Fatalf("fan %d cannot have seen the poster of fan %d", f.number, friend)
				}
			}
			if f.second == f.inviter && f.second != nobody {
				t.Fatalf("fan %d has the same friend twice", f.number)
			}
			if f.talks && f.away() || f.talks && f.binds {
				t.Fatalf("fan %d becomes a member in a way that they cannot", f.number)
			}
		}
	})
}

func TestTheDefaultStoryShowsEverything(t *testing.T) {
	t.Parallel()
	s := Write(200, 1)
	x := s.expect()
	for reward, w := range x.rewards {
		if w.granted == 0 {
			t.Errorf("nobody gets %s", reward)
		}
	}
	if x.rewards["coupon"].waitlisted == 0 {
		t.Error("nobody waits for a coupon")
	}
	for what, did := range map[string]func(fan) bool{
		"looks and goes away":         func(f fan) bool { return f.looks },
		"has followed all along":      func(f fan) bool { return f.before == follower && f.inviter != nobody },
		"had followed and left":       func(f fan) bool { return f.before == gone && f.inviter != nobody },
		"asks for a poster in words":  func(f fan) bool { return f.before == follower && f.inviter == nobody && f.byText },
		"asks for a poster by a tap":  func(f fan) bool { return f.before == follower && f.inviter == nobody && !f.byText },
		"scans two friends' posters":  func(f fan) bool { return f.second != nobody },
		"scans their own poster":      func(f fan) bool { return f.ownCode },
		"lets their page have a name": func(f fan) bool { return f.dresses },
		"agrees to notices":           func(f fan) bool { return f.agrees },
		"becomes a member in words":   func(f fan) bool { return f.talks },
		"gets their number wrong":     func(f fan) bool { return f.mistypes },
		"becomes a member elsewhere":  func(f fan) bool { return f.binds },
		"leaves":                      func(f fan) bool { return f.away() },
		"comes back":                  func(f fan) bool { return f.returns },
		"has money returned":          func(f fan) bool { return f.order > 0 && f.refunds },
		"asks why":                    func(f fan) bool { return f.asks.word == "为什么" },
	} {
		if !slices.ContainsFunc(s.fans, did) {
			t.Errorf("nobody %s", what)
		}
	}
}

func TestACodeThatReadsBadlyOneWayIsTurned(t *testing.T) {
	t.Parallel()
	d, problems := engine.Preflight(campaignFile, "campaign.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plain := engine.PosterTemplate(d, "")
	plain.Width, plain.Height, plain.Background = 360, 360, "#FFFFFF"
	plain.Layers = slices.DeleteFunc(plain.Layers, func(l poster.Layer) bool { return l.QR == nil })
	plain.Layers[0].QR.X, plain.Layers[0].QR.Y = 30, 30
	press, err := poster.Compile(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"7NHY7PZV0M", "VT63A7QVRC", "JQZQ648NTK", "H4DN8YRZ76", "6M0EPNX3BB", "4NVXH1XNAA"} {
		var picture bytes.Buffer
		link := "http://127.0.0.1:36687/r/" + code // with this address these are hard to read
		if err := press.Print(&picture, "jpeg", poster.Person{Code: code, Link: link}); err != nil {
			t.Fatal(err)
		}
		if got, err := readQR(picture.Bytes()); err != nil || got != link {
			t.Errorf("%s reads as %q, %v", link, got, err)
		}
	}
	if _, err := readQR(background); err == nil {
		t.Error("a picture without a code reads as one")
	}
}

func TestTheAccountsFileIsRight(t *testing.T) {
	t.Parallel()
	f, problems := setup.Parse(ChannelsFile, ChannelsName, "http://127.0.0.1:8080")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c := f.Channel(Channel)
	if c == nil || c.Campaign != CampaignID || c.Notices["reward"].Template != noticeID {
		t.Errorf("it says %+v", c)
	}
	for _, q := range questions {
		said, ok := c.Match(q.word)
		tapped, there := c.Clicked(q.tap)
		if !ok || !there || said.Word == "" || said.Word != tapped.Word {
			t.Errorf("%s and %s ask for %q and %q", q.word, q.tap, said.Word, tapped.Word)
		}
	}
}

func TestTheExpectationIsTheCampaignFile(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("campaign.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, _, problems := campaign.Parse(source, "campaign.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	friends := func(tier string) int {
		for _, r := range d.Tier(tier).Requires {
			if r.Task == "invite" {
				return r.Count
			}
		}
		return 0
	}
	if friends("铜牌") != bronzeFriends || friends("银牌") != silverFriends || friends("金牌") != goldFriends {
		t.Error("the tiers differ")
	}
	if d.Reward("coupon").Stock != couponStock || d.Reward("cash").Stock != cashStock || d.Reward("mug").Stock != mugStock {
		t.Error("the stock differs")
	}
	if d.ID != CampaignID || d.Channel != Channel || !slices.Equal(d.Files(), []string{backgroundName}) {
		t.Error("the name or the files differ")
	}
	var most int64
	for _, r := range d.Rewards {
		most += r.Stock * r.UnitCost
	}
	if most > d.Budget.Limit || d.Reward("points").Stock < MostFans {
		t.Errorf("budget or points could run out, and then the order in which fans come would matter: %d of %d", most, d.Budget.Limit)
	}
}
