package wechat_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/twin"
	"kfactor/internal/database/databasetest"
)

const userInfo = "/cgi-bin/user/info"

// mover is one human on the two accounts that they may follow, and what a campaign made of them.
type mover struct{ fans map[string]*twin.Fan }

// moving is a house with two accounts, whoever invites, and people who come and go while the channel is moved.
type moving struct {
	*house
	codes  []string
	people []mover
}

// openMoving has a campaign credit any friend, new or not.
func openMoving(t *testing.T, db *gorm.DB, people int) *moving {
	t.Helper()
	return openMovingWith(t, db, people, ", new_users_only: true, revoke_on: unsubscribe", "")
}

// openMovingWith has a campaign with other texts in place of some.
func openMovingWith(t *testing.T, db *gorm.DB, people int, replaces ...string) *moving {
	t.Helper()
	m := &moving{house: open(t, db, nil, "main", "spare")}
	m.launch(definition(append(replaces, "on_subscribe: true", "on_subscribe: false")...))
	for i := range 2 {
		f := m.twins["main"].AddFan(fmt.Sprint("邀", i))
		m.follow(f, "")
		m.say(f, "海报")
		m.settle()
		code, err := m.engine.CodeOfUser(t.Context(), "c", f.OpenID)
		if err != nil || code == "" {
			t.Fatal(err)
		}
		m.codes = append(m.codes, code)
	}
	for i := range people {
		human := mover{map[string]*twin.Fan{}}
		for name, one := range m.twins {
			human.fans[name] = one.AddFan(fmt.Sprint("友", i))
		}
		m.people = append(m.people, human)
	}
	return m
}

// serving is the account that serves the campaign now.
func (m *moving) serving() string {
	m.t.Helper()
	for _, s := range m.status() {
		if slices.Contains(s.Channels, "main") {
			return s.Name
		}
	}
	m.t.Fatal("nobody serves the channel")
	return ""
}

// come has somebody follow an account, through an inviter's code where it has some.
func (m *moving) come(f *twin.Fan, account string, inviter int) {
	m.t.Helper()
	through := ""
	if account == m.serving() {
		var err error
		if through, _, err = m.Channel("main").CodeLink(m.ctx(), m.codes[inviter]); err != nil {
			m.t.Fatal(err)
		}
	}
	m.follow(f, through)
}

func (m *moving) move(to string) {
	m.t.Helper()
	if err := m.Move(m.ctx(), "main", to); err != nil {
		m.t.Fatal(err)
	}
}

// leave has somebody who follows an account leave it.
func (m *moving) leave(f *twin.Fan) {
	m.t.Helper()
	if err := f.Unfollow(m.ctx()); err != nil {
		m.t.Fatal(err)
	}
}

// once fails where somebody counted twice. It gives the number of friends who counted.
func (m *moving) once() int {
	m.t.Helper()
	var people int64
	if err := m.db.Table("identities").Count(&people).Error; err != nil {
		m.t.Fatal(err)
	}
	if most := len(m.codes) + len(m.people); people > int64(most) {
		m.t.Errorf("%d people are %d", most, people)
	}
	credits := 0
	for _, code := range m.codes {
		v, err := m.engine.Participant(m.ctx(), "c", code, true)
		if err != nil {
			m.t.Fatal(err)
		}
		credits += v.Tasks["invite"].Count
	}
	if credits > len(m.people) {
		m.t.Errorf("%d friends count as %d", len(m.people), credits)
	}
	return credits
}

// TestOnePersonOnTwoAccounts has people come, leave and write in any order while the channel is moved to and fro.
func TestOnePersonOnTwoAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		m := openMoving(t, db, 8)
		seed := rand.Uint64()
		dice := rand.New(rand.NewPCG(seed, 0))
		var story []string
		for range 120 {
			account := []string{"main", "spare"}[dice.IntN(2)]
			n := dice.IntN(len(m.people))
			f := m.people[n].fans[account]
			m.clock.Advance(time.Duration(1+dice.IntN(60)) * time.Second)
			switch what := dice.IntN(20); {
			case what == 0:
				m.move(account)
				story = append(story, "move to "+account)
			case what == 1:
				runOnce(t, m.house)
				story = append(story, "learn")
			case what == 2:
				m.settle()
			case !f.Following():
				m.come(f, account, dice.IntN(2))
				story = append(story, fmt.Sprintf("%d follows %s", n, account))
			case what < 10:
				m.say(f, "海报")
				story = append(story, fmt.Sprintf("%d writes to %s", n, account))
			default:
				m.leave(f)
				story = append(story, fmt.Sprintf("%d leaves %s", n, account))
			}
		}
		m.settle()
		if m.once() == 0 {
			t.Error("nobody counted")
		}
		if t.Failed() {
			t.Logf("seed %d: %s", seed, strings.Join(story, "; "))
		}
	})
}

func TestMovers(t *testing.T) {
	t.Parallel()

	// Each is told by one person: what they do at which account, and how often the channel is moved.
	for name, story := range map[string]func(m *moving, main, spare *twin.Fan){
		"WhoLeavesBeforeTheyCome": func(m *moving, main, spare *twin.Fan) {
			m.come(main, "main", 0)
			m.leave(main)
			m.move("spare")
			m.come(spare, "spare", 1)
		},
		"WhoLeavesTheOldAccountAfterTheMove": func(m *moving, main, spare *twin.Fan) {
			m.come(main, "main", 0)
			runOnce(m.t, m.house)
			m.move("spare")
			m.leave(main)
			m.come(spare, "spare", 1)
		},
		"WhoJoinsThereAndComesBack": func(m *moving, main, spare *twin.Fan) {
			m.move("spare")
			m.come(spare, "spare", 0)
			m.move("main")
			m.come(main, "main", 1)
		},
		"WhoJoinsThereLeavesAndComesBack": func(m *moving, main, spare *twin.Fan) {
			m.move("spare")
			m.come(spare, "spare", 0)
			m.leave(spare)
			m.move("main")
			m.come(main, "main", 1)
		},
		"WhoFollowedTheOtherAccountBefore": func(m *moving, main, spare *twin.Fan) {
			m.come(spare, "spare", 0)
			m.come(main, "main", 0)
			m.move("spare")
			m.say(spare, "海报")
			m.leave(spare)
			m.come(spare, "spare", 1)
		},
		"WhoSignedInOnAPage": func(m *moving, main, spare *twin.Fan) {
			address, err := m.SignInURL(m.ctx(), "main", "snsapi_base", "https://k.example/back", "s1")
			if err != nil {
				m.t.Fatal(err)
			}
			v, err := m.SignedIn(m.ctx(), "main", codeFrom(m.t, main, address))
			if err != nil || v.User != main.OpenID {
				m.t.Fatal(v, err)
			}
			m.move("spare")
			m.come(spare, "spare", 1)
			if got := m.users("main", "unionid:"+spare.UnionID); got != main.OpenID {
				m.t.Errorf("who had signed in is %s", got)
			}
		},
	} {
		t.Run(name+"IsOnePerson", func(t *testing.T) {
			t.Parallel()
			m := openMoving(t, databasetest.SQLite(t), 1)
			story(m, m.people[0].fans["main"], m.people[0].fans["spare"])
			m.settle()
			if n := m.once(); n != 1 {
				t.Errorf("%d friends count", n)
			}
		})
	}

	t.Run("WhatIsOwedReachesWhoComesBack", func(t *testing.T) {
		t.Parallel()
		m := openMoving(t, databasetest.SQLite(t), 1)
		main, spare := m.people[0].fans["main"], m.people[0].fans["spare"]
		m.move("spare")
		m.come(spare, "spare", 0)
		m.say(spare, "海报")
		m.settle()
		m.leave(spare)
		m.move("main")
		m.clock.Advance(time.Minute)
		m.come(main, "main", 0)
		m.say(main, "海报")
		m.settle()
		if last(t, main) != "custom image <poster>" {
			t.Errorf("%q", seen(t, main))
		}
		if code, err := m.engine.CodeOfUser(t.Context(), "c", main.OpenID); err != nil || code != "" {
			t.Errorf("who joined at the other account is two: %q %v", code, err)
		}
	})

	t.Run("WhoComesToTheOldAccountIsShownTheNewOne", func(t *testing.T) {
		t.Parallel()
		m := openMoving(t, databasetest.SQLite(t), 2)
		old, _, err := m.Channel("main").CodeLink(t.Context(), m.codes[0])
		if err != nil {
			t.Fatal(err)
		}
		m.write(`channels: {main: {moved: 请关注「喝茶」, replies: [{exact: 地址, text: 春熙路}]}}`)
		fan := m.people[0].fans["main"]
		m.come(fan, "main", 0)
		m.move("spare")
		m.say(fan, "地址")
		m.say(fan, "海报")
		m.say(fan, "领海报")
		m.say(fan, "在吗")
		friend := m.people[1].fans["main"]
		m.follow(friend, old)
		for _, f := range []*twin.Fan{fan, friend} {
			for end := time.Now().Add(time.Minute); !slices.Contains(seen(t, f), "custom image <poster>"); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%q", seen(t, f))
				}
			}
		}
		texts := slices.DeleteFunc(seen(t, fan), func(said string) bool { return said == "custom image <poster>" })
		equal(t, texts, []string{"reply text 春熙路", "reply text 请关注「喝茶」", "reply text 请关注「喝茶」", "reply text 请关注「喝茶」"})
		// A friend's poster that leads to the old account still leads to the friend.
		m.follow(m.people[1].fans["spare"], poster(t, friend))
		m.settle()
		if n := m.once(); n != 2 {
			t.Errorf("%d friends count", n)
		}
		m.move("main")
		m.say(fan, "进度")
		if got := last(t, fan); !strings.Contains(got, "还没有参加") {
			t.Errorf("after the move back: %q", got)
		}
	})

	t.Run("WhoComesByAnOldPosterIsNewWhereTheCampaignIs", func(t *testing.T) {
		t.Parallel()
		m := openMovingWith(t, databasetest.SQLite(t), 1)
		old, _, err := m.Channel("main").CodeLink(t.Context(), m.codes[0])
		if err != nil {
			t.Fatal(err)
		}
		m.move("spare")
		friend := m.people[0]
		m.follow(friend.fans["main"], old)
		for end := time.Now().Add(time.Minute); !slices.Contains(seen(t, friend.fans["main"]), "custom image <poster>"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q", seen(t, friend.fans["main"]))
			}
		}
		runOnce(t, m.house) // learns who they are
		m.follow(friend.fans["spare"], poster(t, friend.fans["main"]))
		m.settle()
		if n := m.once(); n != 1 {
			t.Errorf("%d friends count: %q", n, m.outcomes("c"))
		}
	})

	t.Run("WhatIsHeldCountsWhereItCame", func(t *testing.T) {
		t.Parallel()
		m := openMovingWith(t, databasetest.SQLite(t), 1)
		m.move("spare")
		m.move("main")
		if err := m.twins["main"].Inject(twin.Fault{Path: userInfo, Failure: twin.Refuse, Code: -1}); err != nil {
			t.Fatal(err)
		}
		m.come(m.people[0].fans["main"], "main", 0)
		m.settle()
		if n := m.once(); n != 0 {
			t.Fatalf("%d friends count before the platform says who they are", n)
		}
		m.move("spare")
		m.twins["main"].Heal()
		m.clock.Advance(time.Minute)
		runUntil(t, m.house, func() bool {
			m.settle()
			return m.once() == 1
		})
	})

	t.Run("OneWhomThePlatformDoesNotKnowHidesNobody", func(t *testing.T) {
		t.Parallel()
		m := openMoving(t, databasetest.SQLite(t), 5)
		body, query := m.seal(m.pushed("oGhost0000000000000000000001", happened("subscribe", "")), "", "ghost")
		if code, said := m.do(call{nonce: "ghost", query: query, body: body}); code != http.StatusOK {
			t.Fatal(code, said)
		}
		for i := range m.people {
			m.come(m.people[i].fans["main"], "main", i%2)
		}
		m.move("spare")
		for i := range m.people {
			m.come(m.people[i].fans["spare"], "spare", i%2)
		}
		m.settle()
		m.people = append(m.people, mover{}) // the one whom the platform does not know
		if n := m.once(); n != 5 {
			t.Errorf("%d friends count", n)
		}
	})

	t.Run("WhoCannotBeLookedUpIsWaitedFor", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			m := openMoving(t, db, 1)
			main, spare := m.people[0].fans["main"], m.people[0].fans["spare"]
			m.come(main, "main", 0)
			m.move("spare")
			m.leave(main)
			if err := m.twins["spare"].Inject(twin.Fault{Path: userInfo, Failure: twin.Refuse, Code: -1}); err != nil {
				t.Fatal(err)
			}
			m.come(spare, "spare", 1)
			m.clock.Advance(time.Second)
			m.say(spare, "海报")
			m.settle()
			if got := last(t, spare); got != "reply text 现在人有点多，请稍后再试。" {
				t.Errorf("%q", got)
			}
			if got := m.outcomes("c"); got[len(got)-1] != "subscribe credited" || len(got) != 4 {
				t.Errorf("%q", got)
			}
			held := func() (n int64) {
				for _, s := range m.status() {
					n += s.Held
				}
				return n
			}
			if held() != 2 {
				t.Errorf("%d pushes wait", held())
			}
			m.twins["spare"].Heal()
			m.clock.Advance(time.Minute)
			runUntil(t, m.house, func() bool { return held() == 0 })
			m.settle()
			if n := m.once(); n != 1 {
				t.Errorf("%d friends count", n)
			}
			if last(t, spare) != "custom image <poster>" {
				t.Errorf("%q", seen(t, spare))
			}
		})
	})

	t.Run("WhoCannotBeLookedUpForLongIsSomebodyNew", func(t *testing.T) {
		t.Parallel()
		m := openMoving(t, databasetest.SQLite(t), 1)
		m.move("spare")
		if err := m.twins["spare"].Inject(twin.Fault{Path: userInfo, Failure: twin.Refuse, Code: -1}); err != nil {
			t.Fatal(err)
		}
		f := m.people[0].fans["spare"]
		m.come(f, "spare", 0)
		m.clock.Advance(29 * time.Minute)
		m.settle()
		if n := m.once(); n != 0 {
			t.Errorf("%d friends count", n)
		}
		m.clock.Advance(2 * time.Minute)
		runUntil(t, m.house, func() bool {
			m.settle()
			return m.once() == 1
		})
		m.say(f, "海报")
		m.settle()
		if last(t, f) != "custom image <poster>" {
			t.Errorf("%q", seen(t, f))
		}
	})
}

// runUntil does what Run does until something is so.
func runUntil(t *testing.T, h *house, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("it did not happen")
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
