package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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
		"MissingArgument":     {args: []string{"campaign", "plan"}, says: "arg"},
		"TooManyArguments":    {args: []string{"version", "please"}, says: "please"},
		"MissingFlag":         {args: []string{"key", "create"}, says: "role"},
		"UnknownVariable":     {args: []string{"serve"}, environ: "KFACTOR_DATABSE_URL=x", says: "KFACTOR_DATABSE_URL is not a setting; did you mean KFACTOR_DATABASE_URL?"},
		"MalformedVariable":   {args: []string{"key", "list"}, environ: "KFACTOR_LOG=loud", says: "KFACTOR_LOG"},
		"MalformedFlag":       {args: []string{"serve", "--addr", "8080"}, says: "--addr"},
		"NoSettingsFile":      {args: []string{"version", "--config", "nowhere.yaml"}, says: "nowhere.yaml"},
		"UnknownServeRole":    {args: []string{"serve", "--role", "apis"}, says: "apis"},
		"SplitWithoutRedis":   {args: []string{"serve", "--role", "worker"}, says: "KFACTOR_REDIS_URL"},
		"ExportFormat":        {args: []string{"ledger", "export", "--format", "pdf"}, says: "csv, xlsx or parquet"},
		"ExportMoment":        {args: []string{"ledger", "export", "--from", "yesterday"}, says: "--from"},
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
		if !strings.Contains(said, "--config") || (!c.HasSubCommands() && !strings.Contains(said, "Examples:")) {
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
	for _, args := range [][]string{{"key", "revoke", "nobody"}, {"key", "create", "--role", "king"}} {
		if r := w.run(args...); r.code != exitFailed || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%v ended with %d: %q", args, r.code, r.stderr)
		}
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
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*no.csv*")); len(left) > 0 {
		t.Errorf("a failed export leaves %v", left)
	}
	var report struct {
		OK      bool
		Entries int
	}
	if err := json.Unmarshal([]byte(w.must("ledger", "verify", "--json")), &report); err != nil || !report.OK || report.Entries != 2 {
		t.Errorf("got %+v, %v", report, err)
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
