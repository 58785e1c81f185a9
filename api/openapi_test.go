package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"kfactor/engine"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc, err := readOpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	routes := new(server).routes()

	t.Run("TheDocumentIsValid", func(t *testing.T) {
		t.Parallel()
		if err := doc.Validate(context.Background(), openapi3.IsOpenAPI31OrLater()); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("EveryRouteIsInTheDocumentAndTheOtherWayRound", func(t *testing.T) {
		t.Parallel()
		served := map[string]bool{}
		for _, r := range routes {
			served[r.method+" "+r.path] = true
		}
		written := map[string]bool{}
		for path, item := range doc.Paths.Map() {
			for method := range item.Operations() {
				written[method+" "+path] = true
				if !served[method+" "+path] {
					t.Errorf("%s %s is in the document, and nothing answers there", method, path)
				}
			}
		}
		for r := range served {
			if !written[r] {
				t.Errorf("%s is served and not in the document", r)
			}
		}
	})

	t.Run("TheExampleOfACampaignIsRight", func(t *testing.T) {
		t.Parallel()
		example, _ := doc.Components.RequestBodies["Definition"].Value.Content["application/yaml"].Example.(string)
		if _, problems := engine.Preflight([]byte(example), "example.yaml"); len(problems) > 0 {
			t.Errorf("%v in\n%s", problems, example)
		}
	})

	for _, r := range routes {
		item := doc.Paths.Value(r.path)
		if item == nil || item.GetOperation(r.method) == nil {
			continue
		}
		op := item.GetOperation(r.method)
		parameters := slices.Concat(item.Parameters, op.Parameters)
		named := func(in string) (list []string) {
			for _, p := range parameters {
				if p.Value.In == in {
					list = append(list, p.Value.Name)
				}
			}
			slices.Sort(list)
			return list
		}
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			t.Parallel()
			if got, want := rolesOf(t, op), r.who; got != want {
				t.Errorf("roles: the document says %s, the route %s", roleText(got), roleText(want))
			}
			if open := op.Security != nil && len(*op.Security) == 0; open != (r.who == anyone) {
				t.Errorf("security: the document says open = %v, the route's roles are %s", open, roleText(r.who))
			}
			query := strings.Fields(r.query)
			slices.Sort(query)
			if got := named("query"); !slices.Equal(got, query) {
				t.Errorf("query: the document has %v, the route %v", got, query)
			}
			if got := slices.Contains(named("header"), idempotencyKey); got != r.once {
				t.Errorf("Idempotency-Key: the document says %v, the route %v", got, r.once)
			}
			if op.RequestBody != nil && r.body == 0 {
				t.Error("the document has a body, and the route reads none")
			}
			if r.method == http.MethodPut && op.RequestBody == nil {
				t.Error("the document has no body")
			}
			for _, name := range named("path") {
				if !strings.Contains(r.path, "{"+name+"}") {
					t.Errorf("the document has the part %s, which is not in the path", name)
				}
			}
			if n := strings.Count(r.path, "{"); n != len(named("path")) {
				t.Errorf("the document describes %d parts of the path, which has %d", len(named("path")), n)
			}
		})
	}
}

func rolesOf(t *testing.T, op *openapi3.Operation) (who roles) {
	t.Helper()
	list, _ := op.Extensions["x-roles"].([]any)
	for _, name := range list {
		role, ok := roleNames[name.(string)]
		if !ok {
			t.Errorf("there is no role %v", name)
		}
		who |= role
	}
	return who
}

func TestWords(t *testing.T) {
	t.Parallel()
	for key := range words["en"] {
		if words["zh"][key] == "" {
			t.Errorf("%q is missing in Chinese", key)
		}
	}
	for key, said := range words["zh"] {
		if words["en"][key] == "" {
			t.Errorf("%q is missing in English", key)
		}
		if strings.Count(said, "%") != strings.Count(words["en"][key], "%") {
			t.Errorf("%q takes something else in Chinese than in English", key)
		}
	}
}
