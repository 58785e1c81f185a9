// Package settings gathers what a process is told from outside: flags over environment over file, each value
// checked, each mistake named. It opens nothing but the settings file and the file of the secret key.
package settings

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"kfactor/internal/queue"
)

// Settings is everything a process is told from outside.
type Settings struct {
	DatabaseURL string             // sqlite://path or mysql://user:password@host:port/name
	RedisURL    string             // embedded, redis://, rediss://, redis-sentinel:// or redis-cluster://
	Addr        string             // host:port to listen on
	PublicURL   string             // without a slash at the end; empty when it follows the listen address
	SecretKey   []byte             // 32 bytes; nil when none was given
	DataDir     string             // uploaded assets, the embedded database
	Log         string             // debug, info, warn or error
	Channels    map[string]Channel // by name

	TrustedProxies []netip.Prefix // networks whose X-Forwarded-For is believed

	given map[string]bool // names that were set anywhere
}

// Setting describes one setting. In the environment its name is KFACTOR_ and capitals, as a flag it has dashes.
type Setting struct {
	Name    string // such as database_url
	Default string // for people to read
	Usage   string
}

// Prefix begins the name of every setting in the environment.
const Prefix = "KFACTOR_"

// All lists the settings in the order in which they are told.
func All() []Setting {
	return []Setting{
		{"database_url", "sqlite://data/kfactor.db", "database: sqlite://PATH or mysql://USER:PASSWORD@HOST:PORT/NAME"},
		{"redis_url", queue.Embedded, "queue: embedded, redis://, rediss://, redis-sentinel:// or redis-cluster://"},
		{"addr", "127.0.0.1:8080", "listen address"},
		{"public_url", "http://ADDR", "the address that goes into QR codes and links"},
		{"secret_key", "made once on SQLite", "32 bytes base64; rather in the environment, flags are seen by other users"},
		{"data_dir", "data", "uploaded files and the embedded database"},
		{"log", "info", "debug, info, warn or error"},
		{"trusted_proxies", "none", "addresses or networks, with commas, whose X-Forwarded-For is believed: 10.0.0.0/8,192.168.1.7"},
	}
}

// Env is the setting's name in the environment.
func (s Setting) Env() string { return Prefix + strings.ToUpper(s.Name) }

// Flag is the setting's name on the command line, without the dashes in front.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Name, "_", "-") }

// notSettings are variables with the prefix that others read: the tests, and `campaign apply --server`.
var notSettings = []string{Prefix + "TEST_MYSQL_URL", Prefix + "TEST_REDIS_URL", Prefix + "KEY"}

// Problems are the mistakes in the settings, each a sentence that names the setting.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "; ") }

func (p *Problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// A value is what a setting was given, and the name it was given under, for messages.
type value struct{ text, place string }

// Load reads the settings. File may be empty; environ is as os.Environ gives it; flags hold only those that were
// written on the command line, by setting name. An empty value counts as not given. Mistakes come back as Problems.
func Load(file string, environ []string, flags map[string]string) (Settings, error) {
	var problems Problems
	values := map[string]value{}
	channels, named := map[string]Channel{}, map[string]bool{}
	if file != "" {
		if err := readFile(file, variables(environ), named, values, channels, &problems); err != nil {
			return Settings{}, err
		}
		oneEach(channels, &problems)
	}
	readEnvironment(environ, named, values, &problems)
	for name, text := range flags {
		if text != "" {
			values[name] = value{text, "--" + Setting{Name: name}.Flag()}
		}
	}
	s := check(values, &problems)
	s.Channels = channels
	if len(problems) > 0 {
		return Settings{}, problems
	}
	return s, nil
}

// variables are an environment by name.
func variables(environ []string) map[string]string {
	all := make(map[string]string, len(environ))
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		all[name] = text
	}
	return all
}

// readEnvironment reads the settings in the environment; the file may have named other variables there.
func readEnvironment(environ []string, named map[string]bool, values map[string]value, problems *Problems) {
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, Prefix) || slices.Contains(notSettings, name) || named[name] {
			continue
		}
		i := slices.IndexFunc(All(), func(s Setting) bool { return s.Env() == name })
		if i < 0 {
			var known []string
			for _, s := range All() {
				known = append(known, s.Env())
			}
			problems.add("%s is not a setting; %s", name, Suggest(name, known))
			continue
		}
		if text != "" {
			values[All()[i].Name] = value{text, name}
		}
	}
}

// check turns texts into values, with the defaults for what was not given.
func check(values map[string]value, problems *Problems) Settings {
	s := Settings{given: map[string]bool{}}
	for name := range values {
		s.given[name] = true
	}
	take := func(name, fallback string, parse func(string) error) string {
		v, given := values[name]
		if !given {
			return fallback
		}
		if err := parse(v.text); err != nil {
			problems.add("%s: %s", v.place, err)
		}
		return v.text
	}
	s.DataDir = filepath.Clean(take("data_dir", "data", checkPath))
	s.DatabaseURL = take("database_url", "sqlite://"+filepath.ToSlash(filepath.Join(s.DataDir, "kfactor.db")), checkDatabase)
	s.RedisURL = take("redis_url", queue.Embedded, queue.CheckAddress)
	s.Addr = take("addr", "127.0.0.1:8080", checkAddr)
	s.PublicURL = strings.TrimRight(take("public_url", "", checkPublicURL), "/")
	take("secret_key", "", func(text string) (err error) {
		s.SecretKey, err = decodeKey(text)
		return err
	})
	s.Log = take("log", "info", checkLevel)
	take("trusted_proxies", "", func(text string) (err error) {
		s.TrustedProxies, err = networks(text)
		return err
	})
	return s
}

// Given says whether the setting of that name was set anywhere.
func (s Settings) Given(name string) bool { return s.given[name] }

// SQLite says whether the database is the embedded one.
func (s Settings) SQLite() bool { return strings.HasPrefix(s.DatabaseURL, "sqlite://") }

// Link is the public address: the one that was set, else http:// and the address that is listened on. An address
// that means every interface is shown as this machine's own, which can be opened.
func (s Settings) Link(listening net.Addr) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return "http://" + Reachable(cmp.Or(listenText(listening), s.Addr))
}

func listenText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// Reachable is the host:port under which a listen address answers on this machine.
func Reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// networks reads addresses and networks with commas between them.
func networks(text string) ([]netip.Prefix, error) {
	var found []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		network, err := netip.ParsePrefix(part)
		if err != nil {
			address, err := netip.ParseAddr(part)
			if err != nil {
				return nil, fmt.Errorf("%q is neither an address such as 192.168.1.7 nor a network such as 10.0.0.0/8", part)
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		found = append(found, network.Masked())
	}
	return found, nil
}

func checkPath(text string) error {
	if strings.ContainsRune(text, 0) {
		return errors.New("a path cannot hold a zero byte")
	}
	return nil
}

// Passwords stand in these addresses, so no message repeats them.
func checkDatabase(text string) error {
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case !found || scheme != "sqlite" && scheme != "mysql":
		return errors.New("not a database address; write sqlite://data/kfactor.db or mysql://user:password@host:3306/name")
	case scheme == "sqlite" && rest == "":
		return errors.New("the address has no path; write sqlite://data/kfactor.db")
	case scheme == "mysql":
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" {
			return errors.New("not a MySQL address; write mysql://user:password@host:3306/name, with special characters of the password percent-encoded")
		}
	}
	return nil
}

func checkAddr(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return fmt.Errorf("%q is not a listen address; write one like 127.0.0.1:8080", text)
	}
	return nil
}

func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%q is not a web address; write one like https://fans.example.com", text)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q holds more than scheme, host and port; write one like https://fans.example.com", text)
	}
	return nil
}

func decodeKey(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(text); err == nil && len(key) == keyBytes {
			return key, nil
		}
	}
	return nil, errors.New("not 32 bytes in base64; make one with: openssl rand -base64 32")
}

func checkLevel(text string) error {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, text) {
		return fmt.Errorf("%q is not a level; write debug, info, warn or error", text)
	}
	return nil
}
