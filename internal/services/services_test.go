package services_test

import (
	"database/sql"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"kfactor/internal/services"
)

// parentVariable has TestMain start a Redis, print its address, and wait to be killed.
const parentVariable = "KFACTOR_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) == "" {
		os.Exit(m.Run())
	}
	server, err := services.StartRedis()
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(server.URL() + "\n")
	select {}
}

func connect(t *testing.T, address string) *sql.DB {
	t.Helper()
	dsn := strings.TrimPrefix(address, "mysql://")
	settings, err := mysql.ParseDSN(strings.Replace(strings.Replace(dsn, "@", "@tcp(", 1), "/", ")/", 1))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := mysql.NewConnector(settings)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

func TestMySQL(t *testing.T) {
	t.Parallel()

	t.Run("EachCallIsAnEmptyDatabaseOfItsOwn", func(t *testing.T) {
		t.Parallel()
		for range 2 {
			db := connect(t, services.MySQL(t))
			if _, err := db.Exec("CREATE TABLE mine (n INT)"); err != nil {
				t.Fatal(err)
			}
		}
	})

	t.Run("WhatWasCommittedOutlivesAPowerCut", func(t *testing.T) {
		t.Parallel()
		services.MySQL(t) // skips where there is none to be had
		server, err := services.StartMariaDB()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Stop()
		db := connect(t, server.URL())
		for _, statement := range []string{"CREATE DATABASE d", "CREATE TABLE d.kept (n INT) ENGINE=InnoDB", "INSERT INTO d.kept VALUES (42)"} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		server.Kill()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := connect(t, server.URL()).QueryRow("SELECT n FROM d.kept").Scan(&n); err != nil || n != 42 {
			t.Fatalf("read %d, %v", n, err)
		}
	})
}

func TestRedis(t *testing.T) {
	t.Parallel()

	client := func(t *testing.T, address string) *redis.Client {
		t.Helper()
		options, err := redis.ParseURL(address)
		if err != nil {
			t.Fatal(err)
		}
		c := redis.NewClient(options)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}

	t.Run("EachCallIsAnEmptyDatabaseOfItsOwn", func(t *testing.T) {
		t.Parallel()
		for range 2 {
			c := client(t, services.Redis(t))
			if fresh, err := c.SetNX(t.Context(), "mine", 1, 0).Result(); err != nil || !fresh {
				t.Fatalf("fresh: %v, %v", fresh, err)
			}
		}
	})

	t.Run("AServerDiesWithTheProgramThatStartedIt", func(t *testing.T) {
		t.Parallel()
		services.Redis(t) // skips where there is none to be had
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		parent := exec.Command(self)
		parent.Env = append(os.Environ(), parentVariable+"=1")
		out, err := parent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 200)
		n, err := out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, strings.TrimSpace(string(b[:n])))
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = parent.Wait()
		for deadline := time.Now().Add(10 * time.Second); c.Ping(t.Context()).Err() == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it lives on")
			}
		}
	})
}

func TestWithoutServices(t *testing.T) {
	t.Setenv(services.WithVariable, "none")
	t.Setenv(services.MySQLVariable, "")
	t.Setenv(services.RedisVariable, "")
	for name, ask := range map[string]func(testing.TB) string{"MySQL": services.MySQL, "Redis": services.Redis} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if !t.Skipped() {
					t.Error("it was not skipped")
				}
			}()
			ask(t)
		})
	}
}
