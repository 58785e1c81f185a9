package queue_test

import (
	"strings"
	"testing"

	"kfactor/internal/fault"
	"kfactor/internal/queue"
)

func TestCheckAddress(t *testing.T) {
	t.Parallel()

	t.Run("EveryFormIsTaken", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{
			"embedded",
			"redis://localhost",
			"redis://localhost:6379/3",
			"redis://:pass@[::1]:6379/0",
			"redis://user:p%40ss%2Fword@10.0.0.1:6380",
			"rediss://user:pass@redis.example:6380/0",
			"redis-sentinel://:pass@s1:26379,s2,s3:26381/0?master=mymaster&sentinel_password=x",
			"redis-sentinel://s1?master=mymaster&tls=true",
			"redis-cluster://h1:7000,h2:7001,[::1]:7002",
			"redis-cluster://user:pass@h1:7000",
		} {
			if err := queue.CheckAddress(address); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
	})

	t.Run("AWrongOneIsNamedAndItsPasswordKept", func(t *testing.T) {
		t.Parallel()
		for address, says := range map[string]string{
			"":                                                  "no scheme",
			"localhost:6379":                                    "no scheme",
			"http://u:hunter2@h":                                `"http"`,
			"redis://u:hunter2@":                                "no host:port",
			"redis://u:hunter2@h:0":                             "port",
			"redis://u:hunter2@h:99999":                         "port",
			"redis://u:hunter2@h:6379:6379":                     "no host:port",
			"redis://u:hunter2@a,b":                             "one host",
			"redis://u:hunter2@h/first":                         "number",
			"redis://u:hunter2@h/-1":                            "number",
			"redis://u:hunter2@h?db=1":                          `"db"`,
			"redis://u:hunter2%zz@h":                            "special characters",
			"redis://u:hunter2/x@h":                             "",
			"redis-sentinel://u:hunter2@h:26379":                "?master=NAME",
			"redis-cluster://u:hunter2@h/1":                     "database 0",
			"redis-cluster://u:hunter2@h,,g":                    "host 2 of 3",
			"redis-cluster://u:hunter2@h?tls=often":             "tls is",
			"redis-cluster://" + strings.Repeat("h,", 99) + "h": "more than",
		} {
			err := queue.CheckAddress(address)
			if fault.KindOf(err) != fault.Invalid || err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v, want it to be invalid and to say %q", address, err, says)
			}
		}
	})
}

func FuzzCheckAddress(f *testing.F) {
	for _, seed := range []string{"embedded", "redis://u:hunter2@h:1/0", "redis-sentinel://a,b?master=m", "redis-cluster://[::1]:1,h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if err := queue.CheckAddress(address); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v is not fault.Invalid", address, err)
		}
	})
}
