package services

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// MariaDB is a private server on a free port, with durable commits.
type MariaDB struct {
	*process
	binary string
	args   []string
	folder string
	port   int
}

// StartMariaDB makes a new server in a folder of its own and starts it. flags
// are added to its command line, such as "--innodb-buffer-pool-size=1G".
func StartMariaDB(flags ...string) (*MariaDB, error) {
	binary, err := Find("mariadbd", "mysqld")
	if err != nil {
		return nil, err
	}
	install, err := Find("mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, err
	}
	folder, err := newFolder("mariadb")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	data := filepath.Join(folder, "data")
	asRoot := []string{}
	if os.Geteuid() == 0 {
		asRoot = append(asRoot, "--user=root") // it refuses to run as root unless told
	}
	made := exec.Command(install, append([]string{
		"--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-log-file-size=32M",
	}, asRoot...)...)
	if said, err := made.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("make a MariaDB: %w: %s", err, said), os.RemoveAll(folder))
	}
	m := &MariaDB{binary: binary, folder: folder, port: port}
	m.args = append([]string{
		"--no-defaults", "--datadir=" + data, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port),
		"--socket=" + filepath.Join(folder, "s"), "--pid-file=" + filepath.Join(folder, "pid"),
		"--skip-name-resolve", "--skip-log-bin", "--max-connections=500",
		"--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin",
	}, append(asRoot, flags...)...)
	if err := m.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return m, nil
}

// URL is the server's address with all rights, on its system database.
func (m *MariaDB) URL() string {
	return fmt.Sprintf("mysql://root@127.0.0.1:%d/mysql", m.port)
}

// Stop ends the server and removes all it held.
func (m *MariaDB) Stop() {
	m.stop()
	_ = os.RemoveAll(m.folder)
}

// Kill ends the server as a power cut would; Restart brings it back with what it had committed.
func (m *MariaDB) Kill() { m.kill() }

// Restart stops the server, where it runs, and starts it again at the same address.
func (m *MariaDB) Restart() error {
	m.stop()
	return m.start()
}

func (m *MariaDB) start() error {
	p, err := startProcess(m.binary, m.args...)
	if err != nil {
		return err
	}
	m.process = p
	u, err := url.Parse(m.URL())
	if err != nil {
		return err
	}
	pool, err := adminOf(u)
	if err != nil {
		return err
	}
	defer func(pool *sql.DB) { _ = pool.Close() }(pool)
	return p.ready(pool.Ping)
}
