package wechat_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

// users are those whom names stand for on a channel, "-" for nobody.
func (h *house) users(channel string, names ...string) string {
	h.t.Helper()
	all, err := h.Channel(channel).Users(h.ctx(), names)
	if err != nil {
		h.t.Fatal(err)
	}
	said := make([]string, len(all))
	for i, who := range all {
		if said[i] = who.User; who.Err != nil {
			said[i] = "-"
		}
	}
	return strings.Join(said, " ")
}

// tie ties members to followers and gives "new", "same" or the kind of the failure of each.
func (h *house) tie(channel string, ties ...wechat.Tie) string {
	h.t.Helper()
	done, err := h.TieMembers(h.ctx(), channel, ties)
	if err != nil {
		h.t.Fatal(err)
	}
	said := make([]string, len(done))
	for i, d := range done {
		switch {
		case d.Err != nil:
			said[i] = string(fault.KindOf(d.Err))
		case d.New:
			said[i] = "new"
		default:
			said[i] = "same"
		}
	}
	return strings.Join(said, " ")
}

func TestMembers(t *testing.T) {
	t.Parallel()

	t.Run("AMoveKeepsMembersAndWhoTheyAre", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, nil, "main", "spare")
			h.launch(definition())
			ann := h.twins["main"].AddFan("安")
			h.follow(ann, "")
			runOnce(t, h)
			if got := h.tie("main", wechat.Tie{Member: "1", OpenID: ann.OpenID}); got != "new" {
				t.Fatal(got)
			}
			if err := h.Move(t.Context(), "main", "spare"); err != nil {
				t.Fatal(err)
			}
			names := []string{"member:1", "unionid:" + ann.UnionID}
			want := ann.OpenID + " " + ann.OpenID
			if got := h.users("main", names...); got != want {
				t.Errorf("before anybody has come over: %s", got)
			}
			annThere, bob := h.twins["spare"].AddFan("安"), h.twins["spare"].AddFan("波")
			h.follow(annThere, "")
			h.follow(bob, "")
			runOnce(t, h)
			if got := h.users("main", names...); got != want {
				t.Errorf("who came over is %s", got)
			}
			got := h.tie("main",
				wechat.Tie{Member: "1", OpenID: annThere.OpenID}, wechat.Tie{Member: "1", UnionID: annThere.UnionID},
				wechat.Tie{Member: "2", OpenID: bob.OpenID}, wechat.Tie{Member: "2", OpenID: annThere.OpenID})
			if got != "same same new conflict" {
				t.Errorf("ties: %s", got)
			}
			if got := h.users("main", "member:2", "unionid:"+bob.UnionID); got != bob.OpenID+" "+bob.OpenID {
				t.Errorf("who is new at the account is %s", got)
			}
			// Leaving the old account takes nothing from who follows the new one.
			h.clock.Advance(time.Minute)
			if err := ann.Unfollow(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := h.users("main", names...); got != want {
				t.Errorf("after leaving the old account: %s", got)
			}
			if got := h.users("spare", names...); got != "- "+annThere.OpenID {
				t.Errorf("members of one channel are members of another: %s", got)
			}
		})
	})

	t.Run("OfTwoProcessesThatTieAtOnceOneDoes", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, plain, "main")
			both := []*wechat.Channels{h.Channels}
			h.serve()
			both = append(both, h.Channels)
			fans := []string{}
			for _, name := range []string{"安", "波"} {
				f := h.twins["main"].AddFan(name)
				h.follow(f, "")
				fans = append(fans, f.OpenID)
			}
			const members = 40
			var done [2][]wechat.Tied
			var group sync.WaitGroup
			for p, c := range both {
				group.Go(func() {
					var ties []wechat.Tie
					for i := range members {
						n := i
						if p == 1 { // the other way round
							n = members - 1 - i
						}
						ties = append(ties, wechat.Tie{Member: fmt.Sprint("m", n), OpenID: fans[p]})
					}
					var err error
					if done[p], err = c.TieMembers(t.Context(), "main", ties); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			for i := range members {
				winner, loser, tiedTo := done[0][i], done[1][members-1-i], fans[0]
				if loser.New {
					winner, loser, tiedTo = loser, winner, fans[1]
				}
				if !winner.New || fault.KindOf(loser.Err) != fault.Conflict {
					t.Errorf("m%d: %+v, %+v", i, winner, loser)
				}
				if got := h.users("main", fmt.Sprint("member:m", i)); got != tiedTo {
					t.Errorf("m%d is %s", i, got)
				}
			}
		})
	})

	t.Run("WhoDoesNotFollowIsKnownAsFarAsTheShopTells", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		gone := h.twins["main"].AddFan("离")
		h.follow(gone, "")
		runOnce(t, h)
		h.clock.Advance(time.Minute)
		if err := gone.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.tie("main", wechat.Tie{Member: "1", UnionID: gone.UnionID}); got != "new" {
			t.Error(got)
		}
		if got := h.users("main", "member:1", "unionid:"+gone.UnionID); got != "- -" {
			t.Errorf("who left is %s", got)
		}
		if got := h.tie("main", wechat.Tie{Member: "1", OpenID: gone.OpenID}); got != "same" {
			t.Error(got)
		}
		if got := h.users("main", "member:1"); got != gone.OpenID {
			t.Errorf("told again they are %s", got)
		}
	})

	t.Run("AThousandNamesCostAFewQueries", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main", "spare")
		f := h.twins["main"].AddFan("安")
		h.follow(f, "")
		runOnce(t, h)
		if err := h.Move(t.Context(), "main", "spare"); err != nil {
			t.Fatal(err)
		}
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprint("member:", i)
			if i%2 == 1 {
				names[i] = "unionid:" + f.UnionID
			}
		}
		h.users("main", names[0]) // reads which channels were moved
		var queries atomic.Int64
		if err := h.db.Callback().Query().After("gorm:query").Register("count", func(*gorm.DB) { queries.Add(1) }); err != nil {
			t.Fatal(err)
		}
		least := int64(math.MaxInt64)
		for range 3 { // what goes on in the background may fall into one
			queries.Store(0)
			h.users("main", names...)
			least = min(least, queries.Load())
		}
		if least > 6 {
			t.Errorf("%d queries", least)
		}
	})
}
