// Package architecture holds the edges of the house: who may import whom. See docs/architecture.md.
package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// packages asks the go command what every package of the module imports, tests left out.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "kfactor/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]listed{}
	for decode := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decode.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		found[p.ImportPath] = p
	}
	if len(found) < 15 {
		t.Fatalf("only %d packages were listed", len(found))
	}
	return found
}

// room says whether a package is in a room: the room's own package or one below it.
func room(pkg, room string) bool {
	return pkg == "kfactor/"+room || strings.HasPrefix(pkg, "kfactor/"+room+"/")
}

func TestEdges(t *testing.T) {
	t.Parallel()
	all := packages(t)

	t.Run("PureRoomsStandOnNothingThatTouchesTheWorld", func(t *testing.T) {
		for _, name := range []string{"campaign", "reward", "reward/ledger", "funnel", "event", "engine/step", "poster", "notify", "channel/wechat/setup", "channel/wechat/wire"} {
			p, ok := all["kfactor/"+name]
			if !ok {
				t.Errorf("there is no room %s", name)
			}
			for _, dep := range p.Deps {
				for _, outside := range []string{"gorm.io/", "github.com/labstack/echo", "github.com/hibiken/asynq", "github.com/redis/", "database/sql", "net/http"} {
					if strings.HasPrefix(dep, outside) {
						t.Errorf("%s stands on %s", name, dep)
					}
				}
			}
		}
	})

	t.Run("SiblingsAreStrangers", func(t *testing.T) {
		siblings := []string{"campaign", "reward", "funnel", "notify", "poster"}
		for path, p := range all {
			for _, a := range siblings {
				for _, b := range siblings {
					if a == b || !room(path, a) {
						continue
					}
					for _, dep := range p.Imports {
						if room(dep, b) {
							t.Errorf("%s imports %s", path, dep)
						}
					}
				}
			}
		}
	})

	t.Run("ImportsPointDown", func(t *testing.T) {
		levels := [][]string{{"cmd"}, {"api"}, {"channel"}, {"engine"}, {"campaign", "reward", "funnel", "notify", "poster"}, {"event"}, {"internal", "migrations"}}
		level := func(path string) int {
			return slices.IndexFunc(levels, func(rooms []string) bool {
				return slices.ContainsFunc(rooms, func(r string) bool { return room(path, r) })
			})
		}
		for path, p := range all {
			for _, dep := range p.Imports {
				if from, to := level(path), level(dep); from >= 0 && to >= 0 && to < from {
					t.Errorf("%s imports %s, which is above it", path, dep)
				}
			}
		}
	})

	t.Run("ThePlatformAndItsTwinAreStrangers", func(t *testing.T) {
		const twin = "kfactor/channel/wechat/twin"
		for path, p := range all {
			for _, dep := range p.Imports {
				if dep == twin && !room(path, "cmd") {
					t.Errorf("%s imports the twin, which is for the demo and for tests", path)
				}
				if path == twin && strings.HasPrefix(dep, "kfactor/") {
					t.Errorf("the twin imports %s; one side is to check the other", dep)
				}
			}
		}
	})

	t.Run("OnlyOneRoomSpeaksEachLanguage", func(t *testing.T) {
		speakers := map[string][]string{
			"github.com/labstack/echo/v4": {"api"},
			"github.com/hibiken/asynq":    {"internal/queue", "cmd"},
			"gorm.io/gorm":                {"engine", "channel/wechat", "internal/database", "cmd"},
		}
		for path, p := range all {
			for _, dep := range p.Imports {
				rooms, named := speakers[dep]
				if named && !slices.ContainsFunc(rooms, func(r string) bool { return room(path, r) }) {
					t.Errorf("%s imports %s", path, dep)
				}
			}
		}
	})
}
