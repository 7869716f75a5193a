// The page of GraphiQL: queries go to this server, with the session of the console.
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: "/graphql" }),
    defaultEditorToolsVisibility: window.innerWidth > 700,  // on a phone, variables are opened by their button
    isHeadersEditorEnabled: false,
    defaultQuery: "# Every field has a description: see the docs (the first button).\n{\n  viewer {\n    name\n    role\n  }\n}\n",
  }),
);
