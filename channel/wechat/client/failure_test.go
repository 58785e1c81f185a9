package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFailures(t *testing.T) {
	t.Parallel()

	t.Run("ThePlatformsWordsAreKept", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		p.on(pathCustom, `{"errcode":45015,"errmsg":"response out of time limit or subscription is canceled rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`)
		c, _, _ := p.account(t)
		err := c.SendText(background(t), openid, "hi")
		var said *Error
		if !errors.As(err, &said) {
			t.Fatal(err)
		}
		want := Error{pathCustom, CodeWindowClosed, "response out of time limit or subscription is canceled", "6921a0c3-1b2c3d4e-0a1b2c3d"}
		if *said != want || said.Class() != Final {
			t.Fatalf("%+v", said)
		}
		if err.Error() != "WeChat /cgi-bin/message/custom/send: 45015 response out of time limit or subscription is canceled (rid 6921a0c3-1b2c3d4e-0a1b2c3d)" {
			t.Fatal(err)
		}
	})

	t.Run("ABusyPlatformIsAskedAgainWhereThatIsSafe", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		p.on(pathUser, `{"errcode":-1,"errmsg":"system error"}`, `{"openid":"`+openid+`"}`)
		p.on(pathFollowers, `{"errcode":-1,"errmsg":"system error"}`)
		c, _, _ := p.account(t)
		if _, err := c.UserInfo(background(t), openid); err != nil || len(p.calls(pathUser)) != 2 {
			t.Fatal(err)
		}
		if _, err := c.Followers(background(t), ""); CodeOf(err) != CodeBusy || ClassOf(err) != Retry || len(p.calls(pathFollowers)) != 3 {
			t.Fatal(err)
		}
	})

	t.Run("AMessageIsNeverSentTwice", func(t *testing.T) {
		t.Parallel()
		for name, handler := range map[string]http.HandlerFunc{
			"busy":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"errcode":-1,"errmsg":"system error"}`) },
			"lost":     hangUp,
			"no JSON":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
			"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
			"a minute": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"errcode":45011,"errmsg":"slower"}`) },
			"half of a": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "99")
				fmt.Fprint(w, `{"err`)
			},
		} {
			p := newPlatform(t)
			for _, path := range []string{pathCustom, pathTemplate, pathSubscribe} {
				p.handle(path, handler)
			}
			c, _, _ := p.account(t)
			_, template := c.SendTemplate(background(t), TemplateMessage{To: openid, TemplateID: "T"})
			for path, err := range map[string]error{
				pathCustom:    c.SendText(background(t), openid, "hi"),
				pathTemplate:  template,
				pathSubscribe: c.SendSubscription(background(t), SubscriptionMessage{To: openid, TemplateID: "T"}),
			} {
				if ClassOf(err) != Retry {
					t.Errorf("%s: %v", name, err)
				}
				p.only(t, path)
			}
		}
	})

	t.Run("ALostConnectionIsTriedAgainWhereThatIsSafe", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		var once sync.Once
		p.handle(pathUpload, func(w http.ResponseWriter, r *http.Request) {
			again := true
			once.Do(func() { again = false })
			if !again {
				hangUp(w, r)
				return
			}
			fmt.Fprint(w, `{"media_id":"M"}`)
		})
		c, _, _ := p.account(t)
		if got, err := c.UploadImage(background(t), "a.png", "image/png", []byte("png")); err != nil || got.ID != "M" {
			t.Fatal(got, err)
		}
		if calls := p.calls(pathUpload); len(calls) != 2 || calls[0].body != calls[1].body {
			t.Fatal("the second try sent something else")
		}
	})

	t.Run("APermanentCodeIsNotMadeTwice", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		p.handle(pathQR, hangUp)
		c, _, _ := p.account(t)
		var lost *Unreachable
		if _, err := c.CreatePermanentQR(background(t), "a"); !errors.As(err, &lost) {
			t.Fatal(err)
		}
		p.only(t, pathQR)
	})

	t.Run("ASlowPlatformIsLeftInTime", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		p.handle(pathCustom, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c, _, _ := p.account(t, func(cfg *Config) { cfg.HTTP = &http.Client{Timeout: 50 * time.Millisecond} })
		err := c.SendText(background(t), openid, "hi")
		var lost *Unreachable
		if !errors.As(err, &lost) || !errors.Is(err, context.DeadlineExceeded) || ClassOf(err) != Retry {
			t.Fatal(err)
		}
	})

	t.Run("WhoeverAsksMayGiveUp", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		arrived := make(chan struct{})
		p.handle(pathUser, func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
		})
		c, _, _ := p.account(t)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := c.UserInfo(ctx, openid); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		p.only(t, pathUser)
	})

	t.Run("AnAnswerBeyondItsSizeIsRefused", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		flood := func(bytes int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"x":"`+strings.Repeat("x", bytes)+`"}`)
			}
		}
		var packed bytes.Buffer // made before anybody waits for it
		z := gzip.NewWriter(&packed)
		fmt.Fprint(z, `{"x":"`+strings.Repeat("x", 2*MaxAnswer)+`"}`)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		p.handle(pathCustom, flood(MaxAnswer))
		p.handle(pathTyping, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		})
		p.handle(pathTemplate, flood(MaxAnswer-8))
		c, _, _ := p.account(t)
		for name, err := range map[string]error{
			"large": c.SendText(background(t), openid, "hi"), "packed": c.Typing(background(t), openid),
		} {
			if err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := c.SendTemplate(background(t), TemplateMessage{To: openid}); err != nil {
			t.Fatal(err)
		}
		p.handle(pathDownload, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, MaxMedia)) })
		if got, err := c.Download(background(t), "M"); err != nil || len(got.Body) != MaxMedia {
			t.Fatal(err)
		}
	})

	t.Run("NobodyIsFollowedElsewhere", func(t *testing.T) {
		t.Parallel()
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("followed to %s", r.URL)
		}))
		defer other.Close()
		for _, status := range []int{301, 302, 303, 307, 308} {
			p := newPlatform(t)
			p.handle(pathCustom, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+r.URL.RequestURI(), status)
			})
			c, _, _ := p.account(t)
			var lost *Unreachable
			if err := c.SendText(background(t), openid, "hi"); !errors.As(err, &lost) || lost.Status != status {
				t.Fatal(err)
			}
		}
	})

	t.Run("EveryTryIsObserved", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		p.on(pathUser, `{"errcode":-1,"errmsg":"system error"}`, `nothing`, `{"openid":"`+openid+`"}`)
		var heard []string
		c, _, _ := p.account(t, func(cfg *Config) {
			cfg.Observe = func(path string, code int, took time.Duration) {
				if took < 0 {
					t.Error(took)
				}
				heard = append(heard, fmt.Sprint(path, " ", code))
			}
		})
		if _, err := c.UserInfo(background(t), openid); err != nil {
			t.Fatal(err)
		}
		want := []string{pathToken + " 0", pathUser + " -1", pathUser + " -1000", pathUser + " 0"}
		if strings.Join(heard, "; ") != strings.Join(want, "; ") {
			t.Fatal(heard)
		}
	})
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// TestSecrets makes every way of calling fail in every way, and looks for what must not be shown.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const (
		code     = "CODE-of+somebody"
		personal = "PERSONAL/token="
	)
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://other.example.com"+r.URL.RequestURI())
			w.WriteHeader(status)
			fmt.Fprint(w, r.URL.String())
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"no answer":  hangUp,
		"a redirect": echo(http.StatusFound),
		"a bad redirect": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://[bad"+r.URL.RequestURI())
			w.WriteHeader(302)
		},
		"a status": echo(http.StatusBadGateway),
		"no JSON":  echo(http.StatusOK),
		"an echo": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			fmt.Fprintf(w, `{"errcode":40013,"errmsg":"invalid appid %s %s %s %s appsecret=x%s"}`, q.Get("access_token"), q.Get("secret"), q.Get("code"), r.URL.RawQuery, secret)
		},
		"a bad header": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", r.URL.RawQuery)
			_ = conn.Close()
		},
		"a bad length": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", r.URL.RawQuery)
			_ = conn.Close()
		},
		"slow": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			for _, path := range []string{pathCustom, pathExchange, pathProfile, pathMenuDelete} {
				p.handle(path, handler)
			}
			c, _, log := p.account(t, func(cfg *Config) { cfg.HTTP = &http.Client{Timeout: 200 * time.Millisecond} })
			wrong := newPlatform(t)
			wrong.handle(pathToken, handler)
			unable, _, log2 := wrong.account(t, func(cfg *Config) { cfg.HTTP = &http.Client{Timeout: 200 * time.Millisecond} })

			_, exchange := c.Exchange(background(t), code)
			_, profile := c.Profile(background(t), Grant{OpenID: openid, AccessToken: personal})
			for call, err := range map[string]error{
				"send": c.SendText(background(t), openid, "hi"), "delete": c.DeleteMenu(background(t)),
				"exchange": exchange, "profile": profile, "token": unable.Typing(background(t), openid),
			} {
				if err == nil {
					t.Fatalf("%s did not fail", call)
				}
				var shown strings.Builder
				for e := err; e != nil; e = errors.Unwrap(e) {
					fmt.Fprintf(&shown, "%v %+v %#v\n", e, e, e)
				}
				silent(t, call, shown.String(), code, personal)
			}
			silent(t, "log", log.String()+log2.String(), code, personal)
		})
	}

	t.Run("a closed door", func(t *testing.T) {
		t.Parallel()
		p := newPlatform(t)
		c, _, log := p.account(t, func(cfg *Config) { cfg.Vault = fixedVault{} })
		p.Close()
		err := c.DeleteMenu(background(t))
		if ClassOf(err) != Retry || CodeOf(err) != NoAnswer {
			t.Fatal(err)
		}
		silent(t, "delete", fmt.Sprintf("%v %#v", err, err)+log.String(), code, personal)
	})
}

// fixedVault always has the token.
type fixedVault struct{}

func (fixedVault) Token(context.Context, string, string, func(context.Context) (Token, error)) (Token, error) {
	return Token{Value: "TOKEN001"}, nil
}

func silent(t *testing.T, where, shown string, more ...string) {
	t.Helper()
	for _, hidden := range append(more, secret, "TOKEN00", "CODE-of", "PERSONAL") {
		if strings.Contains(shown, hidden) {
			t.Errorf("%s shows %q: %s", where, hidden, shown)
		}
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]Class{
		-1: Retry, 45011: Retry,
		40001: Refresh, 40014: Refresh, 42001: Refresh,
		45009: Pause, 48004: Pause, 40013: Pause, 40125: Pause, 40164: Pause, 40243: Pause, 89501: Pause, 89503: Pause, 89506: Pause, 89507: Pause,
		40003: Final, 40007: Final, 43004: Final, 43019: Final, 43101: Final, 45002: Final, 45015: Final, 45047: Final, 48001: Final, 48002: Final, 47003: Final, 99999: Final,
	} {
		err := fmt.Errorf("sending: %w", &Error{Path: pathCustom, Code: code})
		if got := ClassOf(err); got != want || CodeOf(err) != code {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
	}
	if ClassOf(nil) != "" || CodeOf(nil) != 0 || ClassOf(errors.New("the database is away")) != Retry || CodeOf(errors.New("x")) != NoAnswer {
		t.Error("errors that are not the platform's")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no app id":      {Secret: "s"},
		"no secret":      {AppID: "a"},
		"no scheme":      {AppID: "a", Secret: "s", APIURL: "api.weixin.qq.com"},
		"another scheme": {AppID: "a", Secret: "s", APIURL: "ftp://api.weixin.qq.com"},
		"a query":        {AppID: "a", Secret: "s", APIURL: "https://api.weixin.qq.com?a=1"},
		"a password":     {AppID: "a", Secret: "s", OpenURL: "https://u:p@open.weixin.qq.com"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c, err := New(Config{AppID: "a", Secret: "s", APIURL: "http://localhost:8080/twin/"})
	if err != nil || c.apiURL != "http://localhost:8080/twin" || c.openURL != DefaultOpenURL {
		t.Fatal(c, err)
	}
}
