package engine_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/notify"
)

// BenchmarkOutbox owes messages to new people, a call each from many callers, and takes and settles them.
func BenchmarkOutbox(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *gorm.DB{"SQLite": databasetest.SQLite, "MySQL": databasetest.MySQL} {
		b.Run(name, func(b *testing.B) {
			e, err := engine.New(engine.Config{DB: open(b), Secret: make([]byte, 32), DataDir: b.TempDir(), PublicURL: "https://k.example"})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			if _, err := e.CreateCampaign(b.Context(), []byte(channelled(friendly)), "c.yaml", "b"); err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.SetParallelism(64)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					due := engine.Due{Campaign: "c", User: fmt.Sprint("u", n.Add(1)), Kind: notify.Poster, Word: "joined", Source: "follow"}
					if err := e.Owe(b.Context(), []engine.Due{due}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "owed/s")
			began := time.Now()
			for left := b.N; left > 0; {
				owed, err := e.TakeOwed(b.Context(), "main", 100, time.Minute)
				if err != nil || len(owed) == 0 {
					b.Fatal(left, err)
				}
				settled := make([]engine.Settled, 0, len(owed))
				for _, o := range owed {
					settled = append(settled, engine.Settled{No: o.No, Taker: o.Taker, State: notify.Sent})
				}
				if err := e.SettleOwed(b.Context(), settled); err != nil {
					b.Fatal(err)
				}
				left -= len(owed)
			}
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "sent/s")
			began = time.Now()
			const users = 2000
			var at atomic.Int64
			done := make(chan error)
			for range 64 {
				go func() {
					for {
						i := at.Add(1)
						if i > users {
							done <- nil
							return
						}
						if err := e.WindowOpened(b.Context(), "main", fmt.Sprint("u", i)); err != nil {
							done <- err
							return
						}
					}
				}()
			}
			for range 64 {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(users/time.Since(began).Seconds(), "windows/s")
		})
	}
}
