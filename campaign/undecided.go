package campaign

import (
	"fmt"
	"regexp"
	"strings"

	"kfactor/internal/document"
)

// undecided says why a condition could not be decided. The evaluator speaks of Go's types and of its own inside;
// whoever wrote the condition knows neither.
func undecided(message string) string {
	for _, clash := range clashes {
		found := clash.pattern.FindStringSubmatch(message)
		if found == nil {
			continue
		}
		words := make([]any, 0, len(found)-1)
		for _, each := range found[1:] {
			words = append(words, inWords(each))
		}
		return fmt.Sprintf(clash.say, words...)
	}
	return "a value is missing or of another type than the condition needs"
}

// clashes are the evaluator's complaints and what they mean; the first that fits counts. What is in parentheses is
// put into words and filled in.
var clashes = []struct {
	pattern *regexp.Regexp
	say     string
}{
	{regexp.MustCompile(`divide by zero`), "it divides by zero"},
	{regexp.MustCompile(`^memory budget`), "it makes lists that are too long"},
	{regexp.MustCompile(`^invalid operation: (?:<nil> (\S+) .+|.+ (\S+) <nil>)$`), "a value is missing beside %s%s"},
	{regexp.MustCompile(`^invalid operation: (.+) (\+|-|\*|/|%|<|<=|>|>=) (.+)$`), "%s %s %s has no meaning"},
	{regexp.MustCompile(`^invalid operation: - (.+)$`), "a minus stands before %s"},
	{regexp.MustCompile(`(?s)^invalid operation: (?:int|float|int64)\(`), "something that is no number stands where a number is needed"},
	{regexp.MustCompile(`^invalid operation: bool\((.+)\)$`), "it gives %s, which is neither true nor false"},
	{regexp.MustCompile(`^invalid operation: cannot call`), "something is called that is no function"},
	{regexp.MustCompile(`(?s)^cannot fetch (.+) from <nil>$`), "%s is asked of a value that is missing"},
	{regexp.MustCompile(`(?s)^cannot fetch (.+) from (.+)$`), "%s is asked of %s"},
	{regexp.MustCompile(`^cannot slice`), "only a list or text has a part"},
	{regexp.MustCompile(`^index out of range`), "a list has fewer items than it asks for"},
	{regexp.MustCompile(`^interface conversion: .+ is nil, not (.+)$`), "a value is missing where %s is needed"},
	{regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (.+)$`), "%s stands where %s is needed"},
	{regexp.MustCompile(`^reflect: .+ on zero Value`), "a value is missing"},
	{regexp.MustCompile(`^reflect: call of reflect\.Value\.Len on (.+) Value`), "%s stands where a list is needed"},
	{regexp.MustCompile(`^reflect\.Value\.MapIndex: value of type (.+) is not`), "%s stands where the name of a field is needed"},
	{regexp.MustCompile(`^invalid argument for (\w+) \(type <nil>\)$`), "a value is missing for %s"},
	{regexp.MustCompile(`^invalid argument for (\w+) \(type (.+)\)$`), "%s does not take %s"},
	{regexp.MustCompile(`^operator "in" not defined on (.+)$`), "in needs a list on its right, not %s"},
	{regexp.MustCompile(`invalid duration`), "something that is no duration stands where one is needed; they are written like 90m"},
	{regexp.MustCompile(`invalid date`), "something that is no date stands where one is needed; they are written like 2026-09-01"},
}

// inWords names a type of Go's; operators, functions and fields stay as they are, shortened.
func inWords(s string) string {
	switch s {
	case "string", "[]uint8":
		return "text"
	case "int", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "nil", "<nil>":
		return "nothing"
	case "time.Time":
		return "a time"
	case "time.Duration":
		return "a length of time"
	}
	switch {
	case strings.HasPrefix(s, "[]"), s == "slice":
		return "a list"
	case strings.HasPrefix(s, "map["), s == "map":
		return "an object"
	case len(s) > 1 && strings.ContainsAny(s, ".*{\n"):
		return "something else"
	case document.Characters(s) > 60:
		return string([]rune(s)[:60]) + "…"
	}
	return s
}
