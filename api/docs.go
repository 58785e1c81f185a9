package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// docs is the OpenAPI document as a page shows it.
type docs struct {
	CSS      template.CSS
	Title    string
	About    []string // paragraphs
	Groups   []docGroup
	Schemas  []docSchema
	Failures []docFailure
}

type docGroup struct {
	Name, About string
	Routes      []docRoute
}

type docRoute struct {
	Method, Path, Summary, Roles string
	About                        []string
	Parameters                   []docParameter
	Bodies                       []docBody
	Answers                      []docAnswer
}

type docParameter struct {
	Name, In, Type, About string
	Required              bool
}

type docBody struct{ Type, Schema, Link, Example string }

type docAnswer struct{ Status, About, Type, Schema, Link string }

type docSchema struct {
	Name, About, Type string
	Fields            []docParameter
}

type docFailure struct {
	Anchor, Title string
	Status        int
}

// showDocs is the document as a page, made once at the start.
func (s *server) showDocs(c echo.Context) error {
	head := c.Response().Header()
	head.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'sha256-"+styleHash+"'; base-uri 'none'; frame-ancestors 'none'")
	head.Set(echo.HeaderCacheControl, "public, max-age=300")
	return c.HTMLBlob(http.StatusOK, s.docs)
}

// readOpenAPI reads the embedded document.
func readOpenAPI() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(openAPIDocument) }

// renderDocs makes the page.
func (s *server) renderDocs() ([]byte, error) {
	doc, err := readOpenAPI()
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	page := docs{CSS: template.CSS(styleSheet), Title: doc.Info.Title, About: paragraphs(doc.Info.Description)}
	at := map[string]int{}
	for i, tag := range doc.Tags {
		at[tag.Name] = i
		page.Groups = append(page.Groups, docGroup{Name: tag.Name, About: tag.Description})
	}
	for _, r := range s.routes() {
		item := doc.Paths.Value(r.path)
		if item == nil || item.GetOperation(r.method) == nil {
			return nil, fmt.Errorf("openapi.yaml: %s %s is missing", r.method, r.path)
		}
		op := item.GetOperation(r.method)
		group, ok := at[cmp.Or(slices.Concat(op.Tags, []string{""})...)]
		if !ok {
			return nil, fmt.Errorf("openapi.yaml: %s %s has no tag that is listed", r.method, r.path)
		}
		page.Groups[group].Routes = append(page.Groups[group].Routes, describe(r, item, op))
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		page.Schemas = append(page.Schemas, describeSchema(name, doc.Components.Schemas[name].Value))
	}
	for _, kind := range slices.Sorted(maps.Keys(failures)) {
		page.Failures = append(page.Failures, docFailure{"problem-" + string(kind), failures[kind].title, failures[kind].status})
	}
	var b bytes.Buffer
	err = s.pages.ExecuteTemplate(&b, "docs", page)
	return b.Bytes(), err
}

// describe is one route as the page shows it.
func describe(r route, item *openapi3.PathItem, op *openapi3.Operation) docRoute {
	d := docRoute{Method: r.method, Path: r.path, Summary: op.Summary, About: paragraphs(op.Description), Roles: roleText(r.who)}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		d.Parameters = append(d.Parameters, docParameter{
			Name: p.Value.Name, In: p.Value.In, Type: typeOf(p.Value.Schema), About: p.Value.Description, Required: p.Value.Required,
		})
	}
	if op.RequestBody != nil {
		for _, form := range slices.Sorted(maps.Keys(op.RequestBody.Value.Content)) {
			media := op.RequestBody.Value.Content[form]
			d.Bodies = append(d.Bodies, docBody{
				Type: form, Schema: typeOf(media.Schema), Link: linkOf(media.Schema), Example: exampleText(media.Example),
			})
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		answer := op.Responses.Value(status).Value
		about := ""
		if answer.Description != nil {
			about = *answer.Description
		}
		if len(answer.Content) == 0 {
			d.Answers = append(d.Answers, docAnswer{Status: status, About: about})
		}
		for _, form := range slices.Sorted(maps.Keys(answer.Content)) {
			schema := answer.Content[form].Schema
			d.Answers = append(d.Answers, docAnswer{Status: status, About: about, Type: form, Schema: typeOf(schema), Link: linkOf(schema)})
		}
	}
	return d
}

// roleText lists roles for people.
func roleText(who roles) string {
	if who == anyone {
		return "anyone"
	}
	var list []string
	for _, name := range []string{"owner", "operator", "reviewer", "finance", "viewer", "ingest"} {
		if roleNames[name]&who != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

func describeSchema(name string, schema *openapi3.Schema) docSchema {
	d := docSchema{Name: name, About: schema.Description, Type: typeOf(&openapi3.SchemaRef{Value: schema})}
	for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
		p := schema.Properties[field]
		d.Fields = append(d.Fields, docParameter{
			Name: field, Type: typeOf(p), About: p.Value.Description, Required: slices.Contains(schema.Required, field),
		})
	}
	return d
}

// refName is the name of the schema that is referred to, "" when it is written in place.
func refName(ref *openapi3.SchemaRef) string {
	if ref == nil || ref.Ref == "" {
		return ""
	}
	return ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
}

// linkOf is the name of the schema to jump to: the one referred to, or that of a list's items.
func linkOf(ref *openapi3.SchemaRef) string {
	if name := refName(ref); name != "" || ref == nil || ref.Value == nil {
		return name
	}
	if items := ref.Value.Properties["items"]; items != nil {
		return linkOf(items)
	}
	return refName(ref.Value.Items)
}

// typeOf is a schema in a few words.
func typeOf(ref *openapi3.SchemaRef) string {
	if name := refName(ref); name != "" {
		return name
	}
	if ref == nil || ref.Value == nil {
		return ""
	}
	v := ref.Value
	switch {
	case len(v.Enum) > 0:
		words := make([]string, len(v.Enum))
		for i, e := range v.Enum {
			words[i] = fmt.Sprint(e)
		}
		return strings.Join(words, " | ")
	case len(v.OneOf) > 0:
		words := make([]string, len(v.OneOf))
		for i, one := range v.OneOf {
			words[i] = typeOf(one)
		}
		return strings.Join(words, " or ")
	case v.Items != nil:
		return "list of " + typeOf(v.Items)
	case v.Properties["items"] != nil && v.Properties["next"] != nil:
		return "page of " + refName(v.Properties["items"].Value.Items)
	case len(v.Properties) > 0 && v.Type.Is("object"):
		return "object {" + strings.Join(slices.Sorted(maps.Keys(v.Properties)), ", ") + "}"
	case v.Format != "":
		return v.Format
	case v.Type == nil:
		return "bytes"
	}
	return strings.Join(v.Type.Slice(), " or ")
}

func exampleText(example any) string {
	switch e := example.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(e)
	}
	text, err := json.MarshalIndent(example, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

// paragraphs are a description's, without the marks that only Markdown readers understand.
func paragraphs(text string) []string {
	text = strings.NewReplacer("**", "", "`", "").Replace(strings.TrimSpace(text))
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
}
