package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const ok = `{"errcode":0,"errmsg":"ok"}`

func TestToken(t *testing.T) {
	t.Parallel()

	t.Run("OneTokenServesEveryCallUntilShortlyBeforeItsEnd", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathCustom, ok)
		c, at, _ := p.account(t)
		for _, step := range []struct {
			pass    time.Duration
			fetches int
		}{{0, 1}, {time.Second, 1}, {115 * time.Minute, 1}, {time.Minute, 2}, {time.Minute, 2}} {
			at.pass(step.pass)
			if err := c.SendText(background(t), openid, "hi"); err != nil {
				t.Fatal(err)
			}
			if got := len(p.calls(pathToken)); got != step.fetches {
				t.Fatalf("%d fetches after %s, want %d", got, step.pass, step.fetches)
			}
		}
		sameJSON(t, p.calls(pathToken)[0].body, `{"grant_type":"client_credential","appid":"`+appID+`","secret":"`+secret+`","force_refresh":false}`)
	})

	t.Run("ARefusedTokenIsFetchedAndTheCallMadeOnceMore", func(t *testing.T) {
		for _, code := range []string{"40001", "40014", "42001"} {
			p := newPlatform(t)
			p.on(pathCustom, `{"errcode":`+code+`,"errmsg":"no"}`, ok)
			c, _, _ := p.account(t)
			if err := c.SendText(background(t), openid, "hi"); err != nil {
				t.Fatalf("%s: %v", code, err)
			}
			if len(p.calls(pathCustom)) != 2 {
				t.Fatalf("%s: %d calls", code, len(p.calls(pathCustom)))
			}
		}
	})

	t.Run("ATokenThatWasDrawnElsewhereIsFetched", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathCustom, ok)
		c, _, _ := p.account(t)
		if err := c.SendText(background(t), openid, "hi"); err != nil {
			t.Fatal(err)
		}
		p.revoke()
		if err := c.SendText(background(t), openid, "hi"); err != nil {
			t.Fatal(err)
		}
		if p.tokens != 2 || p.forced != 0 {
			t.Fatalf("%d fetches, %d forced", p.tokens, p.forced)
		}
		if got := p.calls(pathCustom); got[2].raw != "access_token=TOKEN002" || got[1].body != got[2].body {
			t.Fatalf("%+v", got)
		}
	})

	t.Run("ManyWithTheSameRefusedTokenCauseOneFetch", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathCustom, ok)
		c, _, _ := p.account(t)
		if err := c.SendText(background(t), openid, "hi"); err != nil {
			t.Fatal(err)
		}
		p.revoke()

		// The refusals are held back until all are there, so that all hold the same token.
		const many = 20
		var arrived sync.WaitGroup
		arrived.Add(many)
		p.handle(pathTyping, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, ok) })
		front := http.HandlerFunc(p.serve)
		p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == pathTyping && r.URL.Query().Get("access_token") == "TOKEN001" {
				arrived.Done()
				arrived.Wait()
			}
			front(w, r)
		})
		errs := make(chan error, many)
		for range many {
			go func() { errs <- c.Typing(background(t), openid) }()
		}
		for range many {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if p.tokens != 2 {
			t.Fatalf("%d fetches, want one before and one after", p.tokens)
		}
	})

	t.Run("ATokenThatIsRefusedAgainIsNotFetchedForEver", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathCustom, `{"errcode":40001,"errmsg":"invalid credential"}`)
		c, _, _ := p.account(t)
		for range 3 {
			if err := c.SendText(background(t), openid, "hi"); ClassOf(err) != Refresh {
				t.Fatal(err)
			}
		}
		if calls := len(p.calls(pathCustom)); calls != 6 {
			t.Fatalf("%d calls, want two for each", calls)
		}
		if p.forced != 1 {
			t.Fatalf("%d tokens were forced", p.forced)
		}
	})

	t.Run("AStubbornPlatformIsMadeToDrawAnother", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathCustom, ok)
		p.token, p.stubborn = 2, true // gives TOKEN001, takes TOKEN002
		c, _, _ := p.account(t)
		if err := c.SendText(background(t), openid, "hi"); err != nil {
			t.Fatal(err)
		}
		if p.forced != 1 {
			t.Fatalf("%d forced", p.forced)
		}
	})

	t.Run("AWrongSecretPausesEverything", func(t *testing.T) {
		for _, answer := range []string{
			`{"errcode":40125,"errmsg":"invalid appsecret"}`, `{"errcode":40001,"errmsg":"invalid credential"}`,
			`{"errcode":40164,"errmsg":"invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`, `{"errcode":12345,"errmsg":"never heard"}`,
		} {
			p := newPlatform(t)
			p.on(pathToken, answer)
			c, _, _ := p.account(t)
			err := c.SendText(background(t), openid, "hi")
			var said *Error
			if !errors.As(err, &said) || said.Path != pathToken || said.Class() != Pause {
				t.Fatalf("%s: %v", answer, err)
			}
			p.only(t, pathToken)
		}
	})

	t.Run("AnAnswerThatIsNoTokenIsNotKept", func(t *testing.T) {
		for _, answer := range []string{
			`{}`, `{"access_token":"","expires_in":7200}`, `{"access_token":"x"}`, `{"access_token":"x","expires_in":-1}`,
			`{"access_token":"x","expires_in":9223372036854775807}`, `{"access_token":"` + strings.Repeat("x", 1025) + `","expires_in":7200}`,
		} {
			p := newPlatform(t)
			p.on(pathToken, answer, `{"access_token":"TOKEN001","expires_in":7200}`)
			p.on(pathCustom, ok)
			c, _, _ := p.account(t)
			if err := c.SendText(background(t), openid, "hi"); ClassOf(err) != Retry {
				t.Errorf("%.80s: %v", answer, err)
			}
			if err := c.SendText(background(t), openid, "hi"); err != nil {
				t.Errorf("after %.80s: %v", answer, err)
			}
		}
	})

	t.Run("ATokenOfFewSecondsIsStillUsed", func(t *testing.T) {
		asked := time.Unix(1795333200, 0)
		for seconds, want := range map[int64]time.Duration{7200: 116 * time.Minute, 300: 225 * time.Second, 4: 3 * time.Second} {
			got, err := lasting(pathToken, "x", seconds, asked)
			if err != nil || got.Expires.Sub(asked) != want {
				t.Errorf("%d: %s, %v", seconds, got.Expires.Sub(asked), err)
			}
		}
	})
}

func TestMemoryVault(t *testing.T) {
	t.Parallel()
	at := newClock()
	good := func(value string) Token { return Token{value, at.now().Add(time.Hour)} }

	t.Run("OneFetchesAndTheOthersWait", func(t *testing.T) {
		v := NewMemoryVault(at.now)
		started, release := make(chan struct{}), make(chan struct{})
		fetches := 0
		fetch := func(context.Context) (Token, error) {
			fetches++
			close(started)
			<-release
			return good("A"), nil
		}
		got := make(chan Token, 10)
		ask := func() {
			token, err := v.Token(background(t), TokenName, "", fetch)
			if err != nil {
				t.Error(err)
			}
			got <- token
		}
		go ask()
		<-started
		for range 9 {
			go ask()
		}
		close(release)
		for range 10 {
			if token := <-got; token.Value != "A" {
				t.Fatal(token)
			}
		}
		if fetches != 1 {
			t.Fatalf("%d fetches", fetches)
		}
	})

	t.Run("ThoseWhoWaitGiveUpByThemselves", func(t *testing.T) {
		v := NewMemoryVault(at.now)
		started, release := make(chan struct{}), make(chan struct{})
		defer close(release)
		go func() {
			_, _ = v.Token(background(t), TokenName, "", func(context.Context) (Token, error) {
				close(started)
				<-release
				return good("A"), nil
			})
		}()
		<-started
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := v.Token(ctx, TokenName, "", nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		// Another name does not wait.
		if got, err := v.Token(background(t), TicketName, "", func(context.Context) (Token, error) { return good("T"), nil }); err != nil || got.Value != "T" {
			t.Fatal(got, err)
		}
	})

	t.Run("WhenTheOneWhoFetchesGoesAwayAnotherDoes", func(t *testing.T) {
		v := NewMemoryVault(at.now)
		started := make(chan struct{})
		leaving, leave := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() {
			_, err := v.Token(leaving, TokenName, "", func(ctx context.Context) (Token, error) {
				close(started)
				<-ctx.Done()
				return Token{}, ctx.Err()
			})
			first <- err
		}()
		<-started
		second := make(chan error, 1)
		go func() {
			_, err := v.Token(background(t), TokenName, "", func(context.Context) (Token, error) { return good("B"), nil })
			second <- err
		}()
		leave()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := <-second; err != nil {
			t.Fatal(err)
		}
	})

	t.Run("AFailureIsNotKept", func(t *testing.T) {
		v := NewMemoryVault(at.now)
		wrong := errors.New("wrong")
		if _, err := v.Token(background(t), TokenName, "", func(context.Context) (Token, error) { return Token{}, wrong }); !errors.Is(err, wrong) {
			t.Fatal(err)
		}
		if got, err := v.Token(background(t), TokenName, "", func(context.Context) (Token, error) { return good("C"), nil }); err != nil || got.Value != "C" {
			t.Fatal(got, err)
		}
	})

	t.Run("AFetchThatPanicsHoldsNobodyUp", func(t *testing.T) {
		v := NewMemoryVault(at.now)
		func() {
			defer func() { _ = recover() }()
			_, _ = v.Token(background(t), TokenName, "", func(context.Context) (Token, error) { panic("x") })
		}()
		if got, err := v.Token(background(t), TokenName, "", func(context.Context) (Token, error) { return good("D"), nil }); err != nil || got.Value != "D" {
			t.Fatal(got, err)
		}
	})
}
