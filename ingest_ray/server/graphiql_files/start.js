// The page of GraphiQL: queries go to this server, with the session of the console.
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: "/graphql" }),
    defaultEditorToolsVisibility: true,
    isHeadersEditorEnabled: false,
    defaultQuery: "# Every field has a description: see the docs at the left.\n{\n  viewer {\n    name\n    role\n  }\n}\n",
  }),
);
