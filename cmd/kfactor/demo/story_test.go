package demo

import (
	"os"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"kfactor/campaign"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(LeastFans, 400).Draw(t, "fans")
		seed := rapid.Uint64().Draw(t, "seed")
		s := Write(n, seed)
		if !reflect.DeepEqual(s, Write(n, seed)) {
			t.Fatal("the same seed told another story")
		}
		count := 0
		for depth, fans := range s.generations() {
			if len(fans) == 0 {
				t.Fatalf("nobody is %d invitations away", depth)
			}
			count += len(fans)
		}
		if count != n {
			t.Fatalf("%d of %d fans come", count, n)
		}
		for _, f := range s.fans {
			for _, friend := range []int{f.inviter, f.second} {
				if friend == nobody {
					continue
				}
				if host := s.fans[friend]; host.looks || host.depth >= f.depth {
					t.Fatalf("fan %d cannot have seen the poster of fan %d", f.number, friend)
				}
			}
			if f.second == f.inviter && f.second != nobody {
				t.Fatalf("fan %d has the same friend twice", f.number)
			}
		}
	})
}

func TestTheDefaultStoryShowsEverything(t *testing.T) {
	t.Parallel()
	x := Write(200, 1).expect()
	for reward, w := range x.rewards {
		if w.granted == 0 {
			t.Errorf("nobody gets %s", reward)
		}
	}
	if x.rewards["coupon"].waitlisted == 0 {
		t.Error("nobody waits for a coupon")
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
	if d.ID != CampaignID || !slices.Equal(d.Files(), []string{backgroundName}) {
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
