package queue

import (
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"kfactor/internal/fault"
)

// Embedded is the address of the Redis inside the program.
const Embedded = "embedded"

const forms = "write embedded, redis://[user:password@]host:6379/0, rediss://… for TLS, " +
	"redis-sentinel://[user:password@]host1:26379,host2:26379/0?master=NAME, or redis-cluster://[user:password@]host1:6379,host2:6379"

// mostHosts bounds the list of a sentinel's or cluster's addresses.
const mostHosts = 64

// CheckAddress tells whether rawURL is an address that Open would take, without
// opening it: nil, or a fault.Invalid that says what is wrong and never shows
// the password.
func CheckAddress(rawURL string) error {
	if rawURL == Embedded {
		return nil
	}
	_, err := options(rawURL)
	return err
}

// options reads an address. A sentinel's or cluster's list of hosts is no URL
// for net/url, so the parts are taken apart here.
func options(rawURL string) (*redis.UniversalOptions, error) {
	wrong := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "redis address: "+format+"; "+forms, args...)
	}
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		return nil, wrong("it has no scheme")
	}
	list := scheme == "redis-sentinel" || scheme == "redis-cluster"
	if !list && scheme != "redis" && scheme != "rediss" {
		return nil, wrong("kfactor does not know %q", scheme)
	}

	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	hosts, user := authority, ""
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse("redis://" + user + "host" + tail)
	if err != nil {
		return nil, wrong("it is no URL; special characters of the password are written as %%XX (@ is %%40, / is %%2F)")
	}

	o := &redis.UniversalOptions{
		DialTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second,
		PoolTimeout: 2 * time.Second, MaxRetries: 1, ContextTimeoutEnabled: true,
		IsClusterMode: scheme == "redis-cluster",
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	if o.Addrs, err = addresses(hosts, scheme == "redis-sentinel"); err != nil {
		return nil, wrong("%v", err)
	}
	if !list && len(o.Addrs) != 1 {
		return nil, wrong("%s takes one host", scheme)
	}
	if number := strings.Trim(u.Path, "/"); number != "" {
		o.DB, err = strconv.Atoi(number)
		if err != nil || o.DB < 0 {
			return nil, wrong("the database after the host is a number, 0 as a rule")
		}
		if o.IsClusterMode && o.DB != 0 {
			return nil, wrong("a cluster has database 0 alone")
		}
	}

	secure := scheme == "rediss"
	for key, values := range u.Query() {
		switch {
		case key == "master" && scheme == "redis-sentinel":
			o.MasterName = values[0]
		case key == "sentinel_password" && scheme == "redis-sentinel":
			o.SentinelPassword = values[0]
		case key == "tls" && list && slices.Contains([]string{"true", "false"}, values[0]):
			secure = values[0] == "true"
		case key == "tls" && list:
			return nil, wrong("tls is true or false")
		default:
			return nil, wrong("%s takes no parameter %q", scheme, key)
		}
	}
	if scheme == "redis-sentinel" && o.MasterName == "" {
		return nil, wrong("redis-sentinel needs ?master=NAME, the name the sentinels watch it under")
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if !list {
			o.TLSConfig.ServerName, _, _ = net.SplitHostPort(o.Addrs[0])
		}
	}
	return o, nil
}

// addresses splits a list of hosts and gives those without a port the usual one.
func addresses(hosts string, sentinels bool) ([]string, error) {
	usual := "6379"
	if sentinels {
		usual = "26379"
	}
	all := strings.Split(hosts, ",")
	if len(all) > mostHosts {
		return nil, fault.New(fault.Invalid, "more than %d hosts", mostHosts)
	}
	for i, h := range all {
		u, err := url.Parse("redis://" + h)
		colons := err == nil && strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(h, "[")
		if err != nil || u.Hostname() == "" || u.Host != h || colons {
			return nil, fault.New(fault.Invalid, "host %d of %d is no host:port", i+1, len(all))
		}
		port := u.Port()
		if port == "" {
			port = usual
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, fault.New(fault.Invalid, "the port of host %d is not between 1 and 65535", i+1)
		}
		all[i] = net.JoinHostPort(u.Hostname(), port)
	}
	return all, nil
}
