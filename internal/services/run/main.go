// Command run starts one MariaDB and one Redis, runs the command it is given
// with their addresses in its environment, and ends them after it:
//
//	go run ./internal/services/run -- go test ./...
//
// What is missing it installs where it may (as root on Debian). SERVICES=none
// runs the command without either; servers that KFACTOR_TEST_MYSQL_URL or
// KFACTOR_TEST_REDIS_URL name already are used as they are.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"kfactor/internal/services"
)

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: run -- COMMAND [ARGUMENT…]") }
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	err := run(flag.Args())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode()) // the command has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

func run(command []string) error {
	// The command hears an interrupt at the terminal as well, and ends; this
	// program stays until it has, to end the servers.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	if os.Getenv(services.WithVariable) == "none" {
		fmt.Fprintln(os.Stderr, "services: SERVICES=none: the embedded part alone; left out is everything against MySQL and a real Redis")
		return follow(command, signals)
	}
	if err := installMissing(); err != nil {
		return err
	}
	if os.Getenv(services.MySQLVariable) == "" {
		m, err := services.StartMariaDB()
		if err != nil {
			return err
		}
		defer m.Stop()
		if err := os.Setenv(services.MySQLVariable, m.URL()); err != nil {
			return err
		}
	}
	if os.Getenv(services.RedisVariable) == "" {
		r, err := services.StartRedis()
		if err != nil {
			return err
		}
		defer r.Stop()
		if err := os.Setenv(services.RedisVariable, r.URL()); err != nil {
			return err
		}
	}
	return follow(command, signals)
}

// follow runs the command to its end and passes an order to stop on to it.
func follow(command []string, signals <-chan os.Signal) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case s := <-signals:
			if s == syscall.SIGTERM {
				_ = cmd.Process.Signal(s)
			}
		}
	}
}
