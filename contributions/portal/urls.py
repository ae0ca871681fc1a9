from django.urls import path

from contributions.portal import views

urlpatterns = [path("contribute", views.contribute, name="contribute")]
