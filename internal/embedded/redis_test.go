package embedded_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"kfactor/internal/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStart(t *testing.T) {
	t.Parallel()

	open := func(t *testing.T) (*embedded.Redis, *redis.Client) {
		t.Helper()
		server, err := embedded.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		options, err := redis.ParseURL(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		t.Cleanup(func() { _ = client.Close() })
		return server, client
	}

	t.Run("WhatIsSetToExpireExpires", func(t *testing.T) {
		t.Parallel()
		_, client := open(t)
		if err := client.Set(t.Context(), "short", 1, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; {
			left, err := client.Exists(t.Context(), "short").Result()
			if err != nil {
				t.Fatal(err)
			}
			if left == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("a key set to live for a second is there after ten")
			}
			time.Sleep(20 * time.Millisecond)
		}
	})

	t.Run("AStrangerWithoutThePasswordGetsNothing", func(t *testing.T) {
		t.Parallel()
		server, _ := open(t)
		stranger := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer func() { _ = stranger.Close() }()
		if err := stranger.Get(t.Context(), "anything").Err(); err == nil || err == redis.Nil {
			t.Fatalf("got %v, want a refusal", err)
		}
	})

	t.Run("ClosingTwiceIsFine", func(t *testing.T) {
		t.Parallel()
		server, _ := open(t)
		server.Close()
		server.Close()
	})
}
