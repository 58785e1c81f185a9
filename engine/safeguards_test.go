package engine_test

import (
	"bytes"
	"image/color"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

func TestSecret(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		open(t, db)
		_, err := engine.New(engine.Config{DB: db, Secret: bytes.Repeat([]byte{1}, 32), DataDir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "KFACTOR_SECRET_KEY") {
			t.Errorf("another secret: %v", err)
		}
		open(t, db)
	})
}

func TestCouponFiles(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	id := h.launch(definition(spring))
	for name, c := range map[string]struct {
		file     string
		imported int
		said     string
	}{
		"Plain":       {"A-1\nA-2\n", 2, ""},
		"WithAHeader": {"\uFEFFcode\r\nB-1\r\n\r\nB-2\r\n", 2, ""},
		"Quoted":      {"\"C,1\"\n\"C\"\"2\"\n", 2, ""},
		"TwoColumns":  {"D-1\nD-2,5\n", 0, "line 2 has 2 columns"},
		"Controls":    {"E-1\nE\x00\n", 0, "line 2 is no coupon code"},
		"Nothing":     {"code\n\n", 0, "no code in this"},
		"BadQuotes":   {"\"F-1\nF-2", 0, "CSV"},
	} {
		got, err := h.ImportCoupons(h.ctx(), id, "coupon", strings.NewReader(c.file), "t")
		if c.said == "" && (err != nil || got.Imported != c.imported) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if c.said != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.said)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneOfManyJoinsIsTheFirst(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))
		var created atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, fresh, err := h.Join(h.ctx(), id, engine.Joining{User: "ann"})
				if err != nil {
					t.Error(err)
				}
				if fresh {
					created.Add(1)
				}
			})
		}
		all.Wait()
		if n := created.Load(); n != 1 {
			t.Errorf("%d of 20 joins were told that they came first", n)
		}
	})
}

func TestFunnelSaysWhichDaysItCounts(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	id := h.launch(definition(spring))
	h.post(id, what{kind: "scan", user: "x"}, what{kind: "scan", user: "y", at: -24 * time.Hour})
	noon := h.clock.Now() // 18:00 in Shanghai
	f, err := h.Funnel(h.ctx(), id, engine.FunnelQuery{From: noon, To: noon})
	if err != nil {
		t.Fatal(err)
	}
	if f.Stages[1].Events != 1 || f.From.Format(time.RFC3339) != "2026-03-02T00:00:00+08:00" || f.To.Format(time.RFC3339) != "2026-03-02T23:59:59+08:00" {
		t.Errorf("%v to %v: %+v", f.From, f.To, f.Stages)
	}
}

func TestABrokenPictureDoesNotLaunch(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	view, err := h.CreateCampaign(h.ctx(), []byte(definition("", `background: "#FFFFFF"`, "background: b.png")), "c.yaml", "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Turn(h.ctx(), view.ID, "launch", "t"); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "b.png") {
		t.Errorf("without its file: %v", err)
	}
	for _, name := range []string{"../b.png", ".b.png", "中.png", "a b.png", strings.Repeat("a", 101)} {
		if _, err := h.PutAsset(h.ctx(), view.ID, name, onePixels(20, color.RGBA{})); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
