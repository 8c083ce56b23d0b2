// Starts Swagger UI on /openapi. It is a file, because the policy of the pages allows no inline script.
const place = document.getElementById("swagger-ui");
SwaggerUIBundle({ url: place.dataset.document, domNode: place, deepLinking: true, presets: [SwaggerUIBundle.presets.apis] });
