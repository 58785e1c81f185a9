package api

// Route is a line of the table of routes, for tests over HTTP.
type Route struct {
	Method, Path string
	Roles        []string // none: anyone
	Once         bool
	Body         int64
}

// Routes is the table.
func Routes() (list []Route) {
	for _, r := range new(server).routes() {
		var who []string
		for name, role := range roleNames {
			if role&r.who != 0 {
				who = append(who, name)
			}
		}
		list = append(list, Route{r.method, r.path, who, r.once, r.body})
	}
	return list
}
