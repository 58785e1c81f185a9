package twin

import (
	"fmt"
	"testing"
	"time"
)

func (h *house) classic() string {
	h.t.Helper()
	return h.wants(0, h.get("/cgi-bin/token?grant_type=client_credential&appid="+h.cfg.AppID+"&secret="+h.cfg.Secret)).text("access_token")
}

func (h *house) forced() string {
	h.t.Helper()
	return h.post("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":true}`, h.cfg.AppID, h.cfg.Secret)).text("access_token")
}

// works says with which code a token is answered.
func (h *house) works(token string) int {
	h.t.Helper()
	return h.get("/cgi-bin/getcallbackip?access_token=" + token).code()
}

func TestTokens(t *testing.T) {
	t.Parallel()

	t.Run("AClassicTokenEndsFiveMinutesAfterItsSuccessor", func(t *testing.T) {
		h := open(t, Config{})
		first := h.classic()
		second := h.classic()
		if first == second || h.works(first) != 0 || h.works(second) != 0 {
			t.Fatal("both tokens should work")
		}
		h.clock.Advance(5 * time.Minute)
		if got := h.works(first); got != 40001 {
			t.Errorf("the superseded token is answered %d", got)
		}
		if got := h.works(second); got != 0 {
			t.Errorf("the new token is answered %d", got)
		}
		h.clock.Advance(2 * time.Hour)
		if got := h.works(second); got != 42001 {
			t.Errorf("the expired token is answered %d", got)
		}
	})

	t.Run("AThirdClassicTokenDoesNotProlongTheFirst", func(t *testing.T) {
		h := open(t, Config{})
		first := h.classic()
		h.classic()
		h.clock.Advance(4 * time.Minute)
		h.classic()
		h.clock.Advance(time.Minute)
		if got := h.works(first); got != 40001 {
			t.Errorf("it is answered %d", got)
		}
	})

	t.Run("TheStableTokenStaysTheSameUntilItsLastFiveMinutes", func(t *testing.T) {
		h := open(t, Config{})
		first := h.fresh()
		h.clock.Advance(tokenLife - tokenOverlap - time.Second)
		if h.fresh() != first {
			t.Error("it changed too early")
		}
		h.clock.Advance(time.Second)
		second := h.fresh()
		if second == first || h.works(first) != 0 || h.works(second) != 0 {
			t.Error("old and new should both work")
		}
		h.clock.Advance(5 * time.Minute)
		if got := h.works(first); got != 42001 {
			t.Errorf("the old one is answered %d", got)
		}
	})

	t.Run("AForcedRefreshEndsTheOldOneAtOnceButNotTwiceInThirtySeconds", func(t *testing.T) {
		h := open(t, Config{})
		first := h.fresh()
		second := h.forced()
		if second == first || h.works(first) != 40001 || h.works(second) != 0 {
			t.Error("the old one should be dead, the new one alive")
		}
		if h.forced() != second {
			t.Error("it was refreshed again")
		}
		for range forcesPerDay - 1 {
			h.clock.Advance(forceGap)
			h.forced()
		}
		h.clock.Advance(forceGap)
		h.wants(45009, h.post("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":true}`, h.cfg.AppID, h.cfg.Secret)))
	})

	t.Run("ClassicAndStableLeaveEachOtherAlone", func(t *testing.T) {
		h := open(t, Config{})
		stable := h.fresh()
		classic := h.classic()
		h.forced()
		h.classic()
		h.clock.Advance(time.Minute)
		if h.works(classic) != 0 {
			t.Error("forcing the stable token ended the classic one")
		}
		if h.works(stable) != 40001 {
			t.Error("the forced one's predecessor lives")
		}
	})

	t.Run("WhatIsNoLivingTokenIsRefused", func(t *testing.T) {
		h := open(t, Config{})
		h.wants(41001, h.get("/cgi-bin/getcallbackip"))
		h.wants(40014, h.get("/cgi-bin/getcallbackip?access_token=nonsense"))
		h.wants(40002, h.get("/cgi-bin/token?grant_type=x&appid="+h.cfg.AppID+"&secret="+h.cfg.Secret))
		h.wants(40013, h.get("/cgi-bin/token?grant_type=client_credential&appid=wx1&secret="+h.cfg.Secret))
		h.wants(40125, h.get("/cgi-bin/token?grant_type=client_credential&appid="+h.cfg.AppID+"&secret=1"))
		h.wants(41002, h.get("/cgi-bin/token?grant_type=client_credential&secret=1"))
		h.wants(41004, h.get("/cgi-bin/token?grant_type=client_credential&appid="+h.cfg.AppID))
		h.RevokeTokens()
		if got := h.works(h.token); got != 40001 {
			t.Errorf("a revoked token is answered %d", got)
		}
		if got := h.works(h.fresh()); got != 0 {
			t.Errorf("a new one after that is answered %d", got)
		}
	})

	t.Run("TheTicketForPagesStaysTheSameWhileItLives", func(t *testing.T) {
		h := open(t, Config{})
		ask := func() answered {
			return h.wants(0, h.get("/cgi-bin/ticket/getticket?type=jsapi&access_token="+h.token))
		}
		first := ask().text("ticket")
		h.later(time.Hour)
		if ask().text("ticket") != first {
			t.Error("it changed")
		}
		page := "https://fission.example.com/c/7?inviter=1"
		if !h.CheckJS(signJS(first, "n", "1", page), "n", "1", page) || h.CheckJS(signJS(first, "n", "1", page), "n", "1", page+"#x") {
			t.Error("the signature is judged wrongly")
		}
		h.later(time.Hour)
		if ask().text("ticket") == first {
			t.Error("it outlived its two hours")
		}
		h.wants(40035, h.get("/cgi-bin/ticket/getticket?type=other&access_token="+h.token))
	})

	for _, name := range []string{"jssdk_signature", "jssdk_signature_official_sample"} {
		t.Run("PagesAreSignedAsThePlatformSigns/"+name, func(t *testing.T) {
			v := vectorOf[struct{ String1, Signature string }](t, name)
			if got := sign(v.String1); got != v.Signature {
				t.Errorf("got %s", got)
			}
		})
	}
}
