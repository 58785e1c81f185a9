package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// world is where a test's commands run: a data directory and variables of their own.
type world struct {
	t       *testing.T
	dir     string
	environ []string
}

func newWorld(t *testing.T, environ ...string) world {
	t.Helper()
	dir := t.TempDir()
	return world{t, dir, append([]string{"KFACTOR_DATA_DIR=" + filepath.Join(dir, "data")}, environ...)}
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command in this process, as main does.
func (w world) run(args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	err := run(w.t.Context(), args, w.environ, strings.NewReader(""), &out, &errs)
	code := report(err, &errs)
	return result{code, out.String(), errs.String()}
}

// must runs a command that has to succeed, and gives what it printed.
func (w world) must(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != exitDone {
		w.t.Fatalf("kfactor %s ended with %d: %s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// file writes a file and gives its path.
func (w world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// buffer is written by a running command and read by its test.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestWrongUsageEndsWithTwoAndOneLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args    []string
		environ string
		says    string
	}{
		"UnknownCommand":      {args: []string{"demoo"}, says: "did you mean demo?"},
		"UnknownSubcommand":   {args: []string{"campaign", "aply", "x.yaml"}, says: "did you mean apply?"},
		"UnknownFlag":         {args: []string{"version", "--jsn"}, says: "--jsn"},
		"MissingArgument":     {args: []string{"campaign", "plan"}, says: "campaign plan needs FILE; write: kfactor campaign plan FILE"},
		"TooManyArguments":    {args: []string{"version", "please"}, says: `"please" is too much for version; write: kfactor version`},
		"NoFileAtAll":         {args: []string{"campaign", "validate"}, says: "needs at least one FILE"},
		"OneOfTwoArguments":   {args: []string{"explain", "spring-2026"}, says: "explain needs CODE; write: kfactor explain CAMPAIGN CODE"},
		"UnknownHelp":         {args: []string{"help", "nonsense"}, says: `no command "nonsense"`},
		"NearbyFlag":          {args: []string{"key", "create", "--rol", "owner"}, says: "did you mean --role?"},
		"UnknownShortFlag":    {args: []string{"version", "-z"}, says: "version has no flag -z"},
		"FlagWithoutValue":    {args: []string{"key", "create", "--role"}, says: "--role needs a value after it: owner"},
		"NumberInWords":       {args: []string{"demo", "--fans", "many"}, says: `--fans: "many" is not a whole number`},
		"NumberTooLarge":      {args: []string{"demo", "--fans", "99999999999999999999"}, says: "too large"},
		"NegativeSeed":        {args: []string{"demo", "--seed", "-1"}, says: "a whole number from 0 on"},
		"NeitherTrueNorFalse": {args: []string{"version", "--json=perhaps"}, says: "neither true nor false"},
		"NoFlag":              {args: []string{"version", "---json"}, says: "is not a flag"},
		"UnknownRole":         {args: []string{"key", "create", "--role", "boss"}, says: `"boss" is not a role; write one of`},
		"MissingFlag":         {args: []string{"key", "create"}, says: "key create needs --role (owner, operator,"},
		"UnknownVariable":     {args: []string{"serve"}, environ: "KFACTOR_DATABSE_URL=x", says: "KFACTOR_DATABSE_URL is not a setting; did you mean KFACTOR_DATABASE_URL?"},
		"MalformedVariable":   {args: []string{"key", "list"}, environ: "KFACTOR_LOG=loud", says: "KFACTOR_LOG"},
		"MalformedFlag":       {args: []string{"serve", "--addr", "8080"}, says: "--addr"},
		"NoSettingsFile":      {args: []string{"version", "--config", "nowhere.yaml"}, says: "there is no settings file nowhere.yaml"},
		"UnknownServeRole":    {args: []string{"serve", "--role", "apis"}, says: "apis"},
		"SplitWithoutRedis":   {args: []string{"serve", "--role", "worker"}, says: "KFACTOR_REDIS_URL"},
		"ExportFormat":        {args: []string{"ledger", "export", "--format", "pdf"}, says: "csv, xlsx or parquet"},
		"ExportEnding":        {args: []string{"ledger", "export", "-o", "a.txt"}, says: "--format"},
		"ExportMoment":        {args: []string{"ledger", "export", "--from", "yesterday"}, says: "--from"},
		"PosterWithoutFlags":  {args: []string{"poster", "render", "x.yaml"}, says: "needs --code (the participant's code) and --output (file to write"},
		"PosterCode":          {args: []string{"poster", "render", "x.yaml", "--code", "U", "-o", "x.png"}, says: "--code"},
		"PosterEnding":        {args: []string{"poster", "render", "x.yaml", "--code", "7K2M9QX4TB", "-o", "x.gif"}, says: ".png"},
		"TooManyFans":         {args: []string{"demo", "--fans", "1000000"}, says: "--fans"},
		"SecretKeyWithMySQL":  {args: []string{"key", "list", "--database-url", "mysql://u:p@127.0.0.1:1/x"}, says: "KFACTOR_SECRET_KEY is required"},
		"ServerWithoutAKey":   {args: []string{"campaign", "plan", "FILE", "--server", "http://127.0.0.1:1"}, says: "KFACTOR_KEY"},
		"ServerWithoutScheme": {args: []string{"campaign", "plan", "FILE", "--server", "here"}, environ: "KFACTOR_KEY=k", says: "--server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.environ)
			for i := range test.args {
				if test.args[i] == "FILE" {
					test.args[i] = springFile
				}
			}
			r := w.run(test.args...)
			if r.code != exitUsage || !strings.HasPrefix(r.stderr, "kfactor: ") || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, test.says) {
				t.Errorf("ended with %d: %q; want 2 and one line with %q", r.code, r.stderr, test.says)
			}
			for _, raw := range []string{"arg(s)", "flag(s)", "unknown command", "strconv", "no such file"} {
				if strings.Contains(r.stderr, raw) {
					t.Errorf("says %q", r.stderr)
				}
			}
			if r.stdout != "" {
				t.Errorf("printed %q", r.stdout)
			}
			if _, err := os.Stat(filepath.Join(w.dir, "data", "kfactor.db")); err == nil {
				t.Error("something was done before the mistake was seen")
			}
		})
	}
}

func TestEveryCommandHasHelpWithAnExampleAndTakesAConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		said := w.must(append(path, "--help")...)
		if !strings.Contains(said, "--config") || !strings.Contains(said, "Examples:\n  kfactor") && !strings.Contains(said, "Examples:\n  export KFACTOR_KEY=$(kfactor") {
			t.Errorf("the help of %s lacks --config or an example:\n%s", c.CommandPath(), said)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&app{}).root())
}

func TestVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "KFACTOR_NONSENSE=1") // settings are not asked
	if said := w.must("version"); !strings.HasPrefix(said, "kfactor 0.") || !strings.Contains(said, "commit") || !strings.Contains(said, "go1.") {
		t.Errorf("said %q", said)
	}
	if line := w.must("--version"); line != w.must("version") {
		t.Errorf("--version said %q", line)
	}
	var v map[string]string
	if err := json.Unmarshal([]byte(w.must("version", "--json")), &v); err != nil || v["version"] != version || v["go"] == "" {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if said := w.must("migrate", "status"); !strings.Contains(said, "pending") {
		t.Errorf("a new database has nothing pending: %s", said)
	}
	w.must("migrate", "up")
	if said := w.must("migrate", "status"); strings.Contains(said, "pending") {
		t.Errorf("after up something is pending: %s", said)
	}
	if said := w.must("migrate", "up"); !strings.Contains(said, "0 migrations") {
		t.Errorf("up twice said %q", said)
	}
	w.must("migrate", "down")
	var list []map[string]any
	if err := json.Unmarshal([]byte(w.must("migrate", "status", "--json")), &list); err != nil || list[len(list)-1]["applied_at"] != nil {
		t.Errorf("after down the newest is applied: %v, %v", list, err)
	}
}

func TestMigrateDownAsksBeforeDataIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("campaign", "apply", springFile, "--launch")
	w.must("key", "create", "--role", "owner")
	r := w.run("migrate", "down")
	if r.code != exitFailed || !strings.Contains(r.stderr, "1 campaign") || !strings.Contains(r.stderr, "1 API key") || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("ended with %d: %q", r.code, r.stderr)
	}
	if list := w.must("key", "list"); !strings.Contains(list, "owner") {
		t.Errorf("the refusal lost the key: %q", list)
	}
	if said := w.must("migrate", "down", "--yes"); !strings.Contains(said, "taken back") {
		t.Errorf("said %q", said)
	}
	if said := w.must("migrate", "status"); !strings.Contains(said, "pending") {
		t.Errorf("nothing was taken back: %s", said)
	}
}

func TestTimesNameTheirZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("key", "create", "--role", "owner")
	stamped := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	for _, args := range [][]string{{"key", "list"}, {"migrate", "status"}} {
		if said := w.must(args...); !stamped.MatchString(said) {
			t.Errorf("%v shows no zone: %s", args, said)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret := w.must("key", "create", "--role", "operator", "--name", "growth team")
	if strings.Count(secret, "\n") != 1 || len(strings.Fields(secret)) != 1 {
		t.Errorf("the key is not alone on standard output: %q", secret)
	}
	list := w.must("key", "list")
	if !strings.Contains(list, "growth team") || strings.Contains(list, strings.TrimSpace(secret)) {
		t.Errorf("the list is %q", list)
	}
	var keys struct {
		Items []struct {
			ID        string
			RevokedAt *string `json:"revoked_at"`
		}
	}
	read := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(w.must("key", "list", "--json")), &keys); err != nil || len(keys.Items) != 1 {
			t.Fatalf("got %v, %v", keys, err)
		}
	}
	read()
	w.must("key", "revoke", keys.Items[0].ID)
	if read(); keys.Items[0].RevokedAt == nil {
		t.Error("the key is not revoked")
	}
	if r := w.run("key", "revoke", "nobody"); r.code != exitFailed || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("revoking nobody's key ended with %d: %q", r.code, r.stderr)
	}
	if r := w.run("key", "create", "--role", "owner", "--name", strings.Repeat("n", 101)); r.code != exitUsage {
		t.Errorf("a name that is too long ended with %d: %q", r.code, r.stderr)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if said := w.must("ledger", "verify"); !strings.Contains(said, "whole: 0 entries") {
		t.Errorf("an empty ledger: %q", said)
	}
	w.must("campaign", "apply", springFile, "--launch")
	csv := w.must("ledger", "export")
	if !strings.HasPrefix(csv, "\ufeffseq,posted_at,transaction,kind,") || !strings.Contains(csv, ",5000.00,") {
		t.Errorf("the export is %q", csv)
	}
	out := filepath.Join(w.dir, "books.xlsx")
	w.must("ledger", "export", "--campaign", "spring-2026", "-o", out)
	if book, err := os.ReadFile(out); err != nil || !bytes.HasPrefix(book, []byte("PK")) {
		t.Errorf("books.xlsx is no workbook: %v", err)
	}
	if csv := w.must("ledger", "export", "--from", "2090-01-01"); strings.Count(csv, "\n") != 1 {
		t.Errorf("an export of the future holds %q", csv)
	}
	if r := w.run("ledger", "export", "--campaign", "nothing", "-o", filepath.Join(w.dir, "no.csv")); r.code != exitFailed {
		t.Errorf("exporting an unknown campaign ended with %d", r.code)
	}
	for out, says := range map[string]string{
		filepath.Join(w.dir, "nowhere", "no.csv"): "there is no folder " + filepath.Join(w.dir, "nowhere"),
		w.dir: "cannot write " + w.dir,
	} {
		r := w.run("ledger", "export", "--format", "csv", "-o", out)
		if r.code != exitFailed || !strings.Contains(r.stderr, says) || strings.Contains(r.stderr, ".part") {
			t.Errorf("writing to %s ended with %d: %q", out, r.code, r.stderr)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*no.csv*")); len(left) > 0 {
		t.Errorf("a failed export leaves %v", left)
	}
	if said := w.must("ledger", "verify"); !strings.Contains(said, "2 entries, head ") {
		t.Errorf("one ledger: %q", said)
	}
	w.must("campaign", "apply", "demo/campaign.yaml")
	if said := w.must("ledger", "verify"); !strings.HasSuffix(said, "entries\n") {
		t.Errorf("two ledgers: %q", said)
	}
	var report struct {
		OK      bool
		Entries int
	}
	if err := json.Unmarshal([]byte(w.must("ledger", "verify", "--json")), &report); err != nil || !report.OK || report.Entries != 2 {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestADayOfAnExportIsTheCampaignsAndWholeAndATimeIsWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("campaign", "apply", springFile, "--launch")
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	day := func(offset int) string { return time.Now().In(zone).AddDate(0, 0, offset).Format(time.DateOnly) }
	utc := func(offset int) string { return time.Now().UTC().AddDate(0, 0, offset).Format(time.DateOnly) }
	later := time.Now().Add(time.Hour).Format(time.RFC3339)
	for _, test := range []struct {
		args    []string
		entries int
	}{
		{[]string{"--campaign", "spring-2026", "--from", day(0), "--to", day(0)}, 2},
		{[]string{"--campaign", "spring-2026", "--from", day(1)}, 0},
		{[]string{"--campaign", "spring-2026", "--to", day(-1)}, 0},
		{[]string{"--from", utc(0), "--to", utc(0)}, 2},
		{[]string{"--to", utc(-1)}, 0},
		{[]string{"--from", "2026-01-01T00:00:00Z", "--to", later}, 2},
		{[]string{"--from", later}, 0},
	} {
		if csv := w.must(append([]string{"ledger", "export"}, test.args...)...); strings.Count(csv, "\n") != 1+test.entries {
			t.Errorf("%v gives %q, not %d entries", test.args, csv, test.entries)
		}
	}
	if r := w.run("ledger", "export", "--from", "2026-03-02", "--to", "2026-03-01"); r.code != exitUsage || !strings.Contains(r.stderr, "not after") {
		t.Errorf("a period that ends before it begins ended with %d: %q", r.code, r.stderr)
	}

	from, to, err := period("2026-03-02", "2026-03-02", zone)
	if err != nil || from.Format(time.RFC3339) != "2026-03-02T00:00:00+08:00" || to.Format(time.RFC3339) != "2026-03-03T00:00:00+08:00" {
		t.Errorf("a day in Shanghai is from %v to %v, %v", from, to, err)
	}
	if _, to, _ = period("", "2026-03-02T10:00:00+08:00", time.UTC); to.Format(time.RFC3339) != "2026-03-02T10:00:00+08:00" {
		t.Errorf("a time moved to %v", to)
	}
}

func TestTablesAlignChinese(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := printTable(&b, []string{"NAME", "COUNT"}, [][]string{{"铜牌", "5"}, {"gold", "12"}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME  COUNT\n铜牌      5\ngold     12\n"; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestACancelledCommandEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	w := newWorld(t)
	if code := report(run(ctx, []string{"key", "list"}, w.environ, nil, &out, &errs), &errs); code != exitFailed {
		t.Errorf("ended with %d", code)
	}
}
