package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"kfactor/internal/services"
)

// needs are the programs the tests use, the Debian package of each, and the
// variable that makes it unnecessary. Without an optional one a few tests are skipped.
var needs = []struct {
	programs []string
	pkg      string
	unless   string
	optional bool
}{
	{[]string{"mariadbd", "mysqld"}, "mariadb-server", services.MySQLVariable, false},
	{[]string{"redis-server", "valkey-server"}, "redis-server", services.RedisVariable, false},
	{[]string{"zbarimg"}, "zbar-tools", "", true},
}

// installMissing installs what is missing, where that is possible without
// asking anybody, and says otherwise what to install.
func installMissing() error {
	var missing []string
	needed := false
	for _, n := range needs {
		if n.unless != "" && os.Getenv(n.unless) != "" {
			continue
		}
		if _, err := services.Find(n.programs...); err != nil {
			missing = append(missing, n.pkg)
			needed = needed || !n.optional
		}
	}
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	_, err := os.Stat("/etc/debian_version")
	if err != nil || os.Geteuid() != 0 {
		if !needed {
			fmt.Fprintf(os.Stderr, "services: without %s some tests are skipped\n", list)
			return nil
		}
		return fmt.Errorf("missing: %s; install what provides it (on Debian: sudo apt-get install %s), or set SERVICES=none", list, list)
	}
	fmt.Fprintln(os.Stderr, "services: installing", list)
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, said)
		}
	}
	return nil
}
