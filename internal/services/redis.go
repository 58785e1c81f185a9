package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisDatabases is how many tests of one run can have a database of their own at the same time.
const redisDatabases = 1024

// RedisServer is a private server on a free port.
type RedisServer struct {
	*process
	binary string
	args   []string
	folder string
	port   int
}

// StartRedis starts a server that keeps nothing on disk. flags are added to its
// command line, such as "--appendonly", "yes".
func StartRedis(flags ...string) (*RedisServer, error) {
	binary, err := Find("redis-server", "valkey-server")
	if err != nil {
		return nil, err
	}
	folder, err := newFolder("redis")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	r := &RedisServer{binary: binary, folder: folder, port: port}
	r.args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", folder,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
		"--databases", strconv.Itoa(redisDatabases),
	}, flags...)
	if err := r.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return r, nil
}

// StartSentinel starts a sentinel that watches nothing yet.
func StartSentinel() (*RedisServer, error) {
	binary, err := Find("redis-server", "valkey-server")
	if err != nil {
		return nil, err
	}
	folder, err := newFolder("sentinel")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	settings := filepath.Join(folder, "sentinel.conf") // it writes what it learns into this file
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n", port, folder)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	r := &RedisServer{binary: binary, args: []string{settings, "--sentinel"}, folder: folder, port: port}
	if err := r.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return r, nil
}

// Addr is the server's host:port.
func (r *RedisServer) Addr() string { return "127.0.0.1:" + strconv.Itoa(r.port) }

// URL is the server's address, on its database 0.
func (r *RedisServer) URL() string { return fmt.Sprintf("redis://%s/0", r.Addr()) }

// Stop ends the server and removes all it held.
func (r *RedisServer) Stop() {
	r.stop()
	_ = os.RemoveAll(r.folder)
}

// Kill ends the server at once; what it did not keep on disk is lost.
func (r *RedisServer) Kill() { r.kill() }

// Restart stops the server, where it runs, and starts it again at the same address.
func (r *RedisServer) Restart() error {
	r.stop()
	return r.start()
}

func (r *RedisServer) start() error {
	p, err := startProcess(r.binary, r.args...)
	if err != nil {
		return err
	}
	r.process = p
	client := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer func() { _ = client.Close() }()
	return p.ready(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return client.Ping(ctx).Err()
	})
}
