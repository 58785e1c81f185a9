package wechat_test

import (
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database/databasetest"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db, nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann, bob, cid := main.AddFan("安"), main.AddFan("波"), main.AddFan("辞")

		h.follow(ann, "")
		h.settle()
		equal(t, seen(t, ann), []string{"reply text 这是你的专属海报。", "custom image <poster>"})

		h.clock.Advance(10 * time.Second)
		h.follow(bob, poster(t, ann))
		h.settle()
		equal(t, seen(t, bob), []string{"reply text 这是你的专属海报。", "custom image <poster>"})
		if n := h.count("c", ann, "invite"); n != 1 {
			t.Errorf("%d friends count", n)
		}
		equal(t, seen(t, ann)[2:], []string{"custom text 好友 为你助力成功,还差 1 人。"})
		equal(t, h.outcomes("c"), []string{"subscribe no_inviter", "scan counted", "subscribe credited"})

		h.clock.Advance(time.Hour)
		h.follow(cid, poster(t, bob))
		h.settle()
		if err := bob.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.settle()
		if n := h.count("c", ann, "invite"); n != 0 {
			t.Errorf("%d friends count after one has left", n)
		}
		equal(t, h.messages(), []string{
			"poster joined sent", "poster joined sent", "progress credited sent", "poster joined sent",
			"progress credited waiting no_window", "progress revoked waiting no_window", // an hour after all of them did something
		})
	})
}
